package importer

import (
	"fmt"
	"runtime"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// Log is what an import needs of a log.
type Log interface {
	events.Appender
	events.Reader
}

// Config is how an import works. Zero fields mean the default, where there is one.
type Config struct {
	Namespace string // of all workflows; required
	// IDsFromFiles takes every workflow id from its file's name.
	IDsFromFiles bool
	// Strict refuses files with fields or enum names that this version of the
	// API does not know, which are else reported: dropped from JSON, kept from
	// protobuf.
	Strict bool
	// Timeout is how long one file may take, however often the log has to be
	// asked again; 5 minutes.
	Timeout time.Duration
	// Workflows is how many are imported at the same time; 32.
	Workflows int
	// Decoders is how many files are decoded at the same time; GOMAXPROCS.
	Decoders int
	// KeepBytes bounds the files, in bytes of JSON, that stay decoded between
	// the look at all of them and their import; the others are read twice;
	// 64 MiB.
	KeepBytes int64

	// Found, if set, is told how many files there are.
	Found func(files int)
	// Looked, if set, is called once for each of them when it was read, or could
	// not be, from several goroutines.
	Looked func()
	// Appended, if set, is told how many events were appended, by several
	// goroutines.
	Appended func(events int)
	// Report, if set, is told each result as it comes. It is called by
	// one goroutine at a time.
	Report func(Result)
}

func (c Config) withDefaults() (Config, error) {
	if err := events.CheckID("namespace", c.Namespace, events.MaxNamespaceBytes); err != nil {
		return c, err
	}
	if c.Timeout < 0 || c.Workflows < 0 || c.Decoders < 0 || c.KeepBytes < 0 {
		return c, fmt.Errorf("import: a setting is negative")
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Minute
	}
	if c.Workflows == 0 {
		c.Workflows = 32
	}
	if c.Decoders == 0 {
		c.Decoders = runtime.GOMAXPROCS(0)
	}
	if c.KeepBytes == 0 {
		c.KeepBytes = 64 << 20
	}
	if c.Found == nil {
		c.Found = func(int) {}
	}
	if c.Looked == nil {
		c.Looked = func() {}
	}
	if c.Appended == nil {
		c.Appended = func(int) {}
	}
	if c.Report == nil {
		c.Report = func(Result) {}
	}
	return c, nil
}
