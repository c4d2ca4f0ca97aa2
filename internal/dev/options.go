package dev

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// The ports that are taken if they are free.
const (
	natsPort     = 4222
	postgresPort = 5432
	httpPort     = 7070
)

// drainTimeout is how long calls under way have to end: nobody but the user is
// waiting.
const drainTimeout = 5 * time.Second

// database holds the tables.
const database = "annals"

// Options say what is started.
type Options struct {
	// DataDir keeps the log and the tables, and is made if it is missing.
	DataDir string
	// Ephemeral keeps nothing: DataDir MUST be empty.
	Ephemeral bool
	// HTTP is the address of ingest. Empty: the standard port on 127.0.0.1, or
	// another one if that is taken.
	HTTP string
	// Events is what the tables are to keep of events; see pgstore.Config.
	Events pgstore.EventsMode
	// Private leaves the standard ports to others, and keeps commands that are
	// started without URLs from finding it.
	Private bool
	// Logger gets what happens. Nil: slog.Default().
	Logger *slog.Logger
}

// RunOptions say what is run, and for whom.
type RunOptions struct {
	Options
	// Command, if not empty, is run with NATS_URL, DATABASE_URL and ANNALS_URL
	// set, and libpq's variables for the same database. It has a process group
	// of its own; when it has ended everything stops, the rest of the group too.
	Command []string
	// In, Out and Err are the command's standard streams. Without a command,
	// Out gets lines that export the URLs to a shell.
	In       io.Reader
	Out, Err io.Writer
}

func (o Options) validate() (Options, error) {
	if o.Ephemeral != (o.DataDir == "") {
		return o, errors.New("dev: want either a data folder or an ephemeral one")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.DataDir == "" {
		return o, nil
	}
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return o, fmt.Errorf("data folder: %w", err)
	}
	o.DataDir = dir
	return o, nil
}

// makeDataDir makes the folder, which says to git that it is none of its business.
func makeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	ignore := filepath.Join(dir, ".gitignore")
	if _, err := os.Stat(ignore); err == nil {
		return nil
	}
	if err := os.WriteFile(ignore, []byte("*\n"), 0o644); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return nil
}
