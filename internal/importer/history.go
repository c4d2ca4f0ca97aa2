package importer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

// history is a file that was looked at.
type history struct {
	file     string
	sum      [sha256.Size]byte // of the file's bytes
	size     int64
	workflow events.Workflow
	run      events.RunID // empty where the events do not begin at a start
	base     events.RunID // the run that this one was reset from; empty: none
	start    time.Time    // of the start event; zero if it has none
	from     events.EventID
	count    int
	dropped  []string
	kept     []string

	events []*events.Event // nil while they are not kept
}

// starts reports whether the history begins at a start.
func (h *history) starts() bool { return h.run != "" }

// last is the id of the last event.
func (h *history) last() events.EventID { return h.from + events.EventID(h.count) - 1 }

// read reads and decodes the file, finds out what it holds, and refuses what no
// log could take.
func (c *Config) read(file string) (*history, error) {
	h := &history{file: file, dropped: []string{}}
	text, err := readFile(file)
	if err != nil {
		return h, err
	}
	h.size, h.sum = int64(len(text)), sha256.Sum256(text)
	evs, dropped, kept, err := c.decode(file, text)
	if err != nil {
		return h, refuse("%v", err)
	}
	if len(dropped) > 0 {
		h.dropped = dropped
	}
	h.kept = kept
	h.events, h.count = evs, len(evs)
	if h.count == 0 {
		return h, refuse("it holds no events")
	}
	h.from = events.EventID(evs[0].EventId)
	c.identify(h)
	return h, check(h)
}

// load has the events at hand again.
func (c *Config) load(h *history) error {
	if h.events != nil {
		return nil
	}
	again, err := c.read(h.file)
	if err != nil {
		return err
	}
	if again.sum != h.sum {
		return refuse("it was changed while it was imported")
	}
	h.events = again.events
	return nil
}

func readFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close()
	var text bytes.Buffer
	if info, err := f.Stat(); err == nil { // as much as it takes: growing would take twice that
		text.Grow(int(min(max(info.Size(), 0), eventjson.DefaultMaxBytes)) + bytes.MinRead)
	}
	if _, err := text.ReadFrom(io.LimitReader(f, eventjson.DefaultMaxBytes+1)); err != nil {
		return nil, unreadable(err)
	}
	return text.Bytes(), nil
}

// unreadable is the refusal of a file that cannot be read: its name is said
// beside the reason.
func unreadable(err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		err = fmt.Errorf("%s: %w", pathErr.Op, pathErr.Err)
	}
	return refuse("%v", err)
}

// identify says whose history it is; see the package's doc.
func (c *Config) identify(h *history) {
	base := filepath.Base(h.file)
	h.workflow = events.Workflow{Namespace: c.Namespace, ID: strings.TrimSuffix(base, filepath.Ext(base))}
	first := h.events[0]
	if !events.Opens(first) || first.EventId != 1 {
		return
	}
	started := first.GetWorkflowExecutionStartedEventAttributes()
	if id := started.GetWorkflowId(); id != "" && !c.IDsFromFiles {
		h.workflow.ID = id
	}
	if first.GetEventTime() != nil {
		h.start = first.GetEventTime().AsTime()
	}
	h.run = events.RunID(started.GetOriginalExecutionRunId())
	for _, e := range h.events {
		failed := e.GetWorkflowTaskFailedEventAttributes()
		if failed.GetCause() != enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW {
			continue
		}
		h.base = events.RunID(failed.GetBaseRunId())
		if id := failed.GetNewRunId(); id != "" {
			h.run = events.RunID(id)
		}
	}
	if h.run == "" {
		h.run = derivedRun(first)
	}
	if h.base == h.run {
		h.base = ""
	}
}

// runSpace is the name space of run ids that are derived.
var runSpace = uuid.MustParse("6e0e1c4a-6d1c-5c5e-9a53-8a5d0b0f7a1e")

// derivedRun is the id of a run that nothing names: that of its start event,
// so that a longer export of the run has the same.
func derivedRun(start *events.Event) events.RunID {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(start)
	if err != nil {
		b = []byte(err.Error()) // text that is not UTF-8: the log refuses it too
	}
	return events.RunID(uuid.NewSHA1(runSpace, b).String())
}

// check refuses a history that no log could take whole, before anything of it
// is appended.
func check(h *history) error {
	if err := h.workflow.Validate(); err != nil {
		return refuse("%v", err)
	}
	if h.starts() {
		if err := events.CheckID("runId", string(h.run), events.MaxRunIDBytes); err != nil {
			return refuse("%v", err)
		}
	}
	for i, e := range h.events {
		switch {
		case e.EventId < 1:
			return refuse("event %d of the file has id %d: ids begin at 1", i+1, e.EventId)
		case i > 0 && e.EventId != h.events[i-1].EventId+1:
			return refuse("event %d follows event %d: ids must be dense", e.EventId, h.events[i-1].EventId)
		case i > 0 && events.Opens(e):
			return refuse("event %d is a start: a file is the history of one run", e.EventId)
		case i > 0 && events.Closes(h.events[i-1]):
			return refuse("event %d follows event %d, which closes the run", e.EventId, e.EventId-1)
		case events.Opens(e) && e.EventId != 1:
			return refuse("event %d is a start: a run begins with event 1", e.EventId)
		case i == 0 && e.EventId == 1 && !events.Opens(e):
			return refuse("event 1 is %s, not a start", e.EventType)
		}
	}
	return checkLimits(h)
}
