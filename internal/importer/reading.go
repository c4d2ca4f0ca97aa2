package importer

import (
	"errors"

	"github.com/annals-io/annals/pkg/events"
)

// File is a file that holds a history, for who does not import it.
type File struct {
	Path     string
	Workflow events.Workflow
	Run      events.RunID // empty where the events do not begin at a start
	Events   []*events.Event
	Dropped  []string // the paths of what this version of the API does not know
}

// Find lists the files that paths name, as Run takes them: files, folders and
// patterns. A path that names none is an error, joined with the others.
func Find(paths []string) ([]string, error) {
	l := list(paths)
	var errs []error
	for _, r := range l.refused {
		errs = append(errs, refuse("%s: %s", r.File, r.Reason))
	}
	return l.files, errors.Join(errs...)
}

// Read reads one file, as Run does before it imports. Namespace, IDsFromFiles and
// Strict are all that it needs to be told.
func (c Config) Read(path string) (File, error) {
	h, err := c.read(path)
	if err != nil {
		return File{}, err
	}
	return File{Path: path, Workflow: h.workflow, Run: h.run, Events: h.events, Dropped: h.dropped}, nil
}
