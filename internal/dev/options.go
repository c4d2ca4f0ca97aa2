package dev

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
)

// The ports that are taken if they are free.
const (
	natsPort     = 4222
	postgresPort = 5432
)

// database holds the tables.
const database = "annals"

// Options say what is run.
type Options struct {
	// DataDir keeps the log and the tables, and is made if it is missing.
	DataDir string
	// Ephemeral keeps nothing: DataDir MUST be empty.
	Ephemeral bool
	// Command, if not empty, is run with NATS_URL and DATABASE_URL set; when it
	// has ended everything stops.
	Command []string
	// In, Out and Err are the command's standard streams. Without a command,
	// Out gets lines that export the URLs to a shell.
	In       io.Reader
	Out, Err io.Writer
	// Logger gets what happens. Nil: slog.Default().
	Logger *slog.Logger
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
