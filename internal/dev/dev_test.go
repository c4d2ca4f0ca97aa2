package dev

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/annals-io/annals/internal/scratch"
	"github.com/annals-io/annals/internal/wiring/discovery"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    Options
		ok   bool
	}{
		{"neither kept nor ephemeral", Options{}, false},
		{"both", Options{DataDir: "d", Ephemeral: true}, false},
		{"kept", Options{DataDir: "d"}, true},
		{"ephemeral", Options{Ephemeral: true}, true},
	} {
		if _, err := tc.o.validate(); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// Interrupted before it is ready, it stops what it has started and says so.
func TestInterruptedWhileStarting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, RunOptions{Options: Options{Ephemeral: true}, Out: &bytes.Buffer{}}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was interrupted", err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	cause := errors.New("locked")
	unknown := &InUseError{DataDir: "/d", Cause: cause}
	known := &InUseError{DataDir: "/d", Cause: cause, Running: &discovery.Record{PID: 42, Folder: "/work", StartedAt: time.Now()}}
	for _, tc := range []struct {
		err   error
		words []string
	}{
		{unknown, []string{"/d", "--data", "locked"}},
		{known, []string{"/d", "process 42", "/work", "--data"}},
		{&EndedError{Part: "Postgres", Cause: cause}, []string{"Postgres has ended", "locked"}},
	} {
		if !errors.Is(tc.err, cause) {
			t.Errorf("%v does not wrap its cause", tc.err)
		}
		for _, w := range tc.words {
			if !strings.Contains(tc.err.Error(), w) {
				t.Errorf("%v lacks %q", tc.err, w)
			}
		}
	}
}

func TestExitCodesOfCommands(t *testing.T) {
	for _, tc := range []struct {
		script string
		want   int
	}{
		{"exit 0", 0},
		{"exit 200", 200},
		{"kill -TERM $$", 128 + 15},
	} {
		got, err := exitCode(exec.Command("sh", "-c", tc.script).Run())
		if err != nil || got != tc.want {
			t.Errorf("%s: %d, %v; want %d", tc.script, got, err, tc.want)
		}
	}
	if _, err := exitCode(errors.New("no such program")); err == nil {
		t.Error("a command that did not run has an exit code")
	}
}

func TestOnlyATerminalIsOne(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if terminalOf(null) >= 0 || terminalOf(strings.NewReader("")) >= 0 || terminal(-1).ours() {
		t.Error("taken for a terminal")
	}
}

func TestServersAreQuietWhileTheyAreStopped(t *testing.T) {
	var out bytes.Buffer
	var stopping atomic.Bool
	logger := slog.New(quiet{slog.NewTextHandler(&out, nil), &stopping}).With(slog.String("part", "nats")).WithGroup("g")
	logger.Warn("before", slog.Int("k", 1))
	stopping.Store(true)
	logger.Error("after")
	if s := out.String(); !strings.Contains(s, "part=nats g.k=1") || strings.Contains(s, "after") {
		t.Errorf("logged %q", s)
	}
}

func TestWarningsOfTheLogAreDetails(t *testing.T) {
	for _, tc := range []struct {
		level slog.Level
		want  string
	}{
		{slog.LevelInfo, "level=ERROR msg=c\n"},
		{slog.LevelDebug, "level=DEBUG msg=a\nlevel=DEBUG msg=b\nlevel=ERROR msg=c\n"},
	} {
		var out bytes.Buffer
		noTime := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		logger := slog.New(calm{slog.NewTextHandler(&out, &slog.HandlerOptions{Level: tc.level, ReplaceAttr: noTime})})
		logger.Warn("a")
		logger.With().Warn("b")
		logger.Error("c")
		if out.String() != tc.want {
			t.Errorf("at level %s: logged %q, want %q", tc.level, out.String(), tc.want)
		}
	}
}

// A private one neither takes the standard ports nor is it found, and what it
// gives is what runs, until it is stopped.
func TestPrivate(t *testing.T) {
	p, err := Start(t.Context(), Options{Ephemeral: true, Private: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range discovery.Running() {
		if r.NATSURL == p.NATSURL() {
			t.Errorf("it is found: %+v", r)
		}
	}
	for _, address := range []string{p.NATSURL(), p.DatabaseURL(), p.AnnalsURL()} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains([]string{"4222", "5432", "7070"}, u.Port()) {
			t.Errorf("it took a standard port: %s", address)
		}
	}
	w := events.Workflow{Namespace: "default", ID: "w"}
	res, err := p.Log().Append(t.Context(), events.Request{Workflow: w, Events: []*events.Event{events.WorkflowStarted("Order", "")}})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgstore.New(p.Pool(), pgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := tables.WaitFor(t.Context(), res.Vector()); err != nil {
		t.Error(err)
	}
	for range 2 { // the second time there is nothing to stop
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}
	if _, err := p.Log().Tail(t.Context(), w); err == nil {
		t.Error("the log answers after it was stopped")
	}
}

// Data that an older program has left is gone on with: its tables, which nobody else
// could rebuild, are made anew before anything reads them.
func TestTablesOfAnOlderVersionAreMadeAnew(t *testing.T) {
	folder, err := scratch.New("test", scratch.Options{Enter: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := folder.Remove(); err != nil {
			t.Error(err)
		}
	})
	o := Options{DataDir: filepath.Join(folder.Path, "data"), Private: true, Logger: slog.New(slog.DiscardHandler)}
	start := func() (*Pipeline, *pgstore.Store) {
		t.Helper()
		p, err := Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		tables, err := pgstore.New(p.Pool(), pgstore.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return p, tables
	}
	p, tables := start()
	w := events.Workflow{Namespace: "default", ID: "w"}
	res, err := p.Log().Append(t.Context(), events.Request{Workflow: w, Events: []*events.Event{events.WorkflowStarted("Order", "")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := tables.WaitFor(t.Context(), res.Vector()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Pool().Exec(t.Context(), `UPDATE annals.generations SET version = version - 1`); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}

	p, tables = start()
	count, err := tables.Count(t.Context(), pgstore.CountQuery{Namespace: "default"})
	if err != nil || count.Count != 1 {
		t.Errorf("at once there are %d runs, %v; want one", count.Count, err)
	}
	res, err = p.Log().Append(t.Context(), events.Request{Workflow: w, Expect: events.After(res.Cursor), Events: []*events.Event{events.WorkflowCompleted("")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := tables.WaitFor(t.Context(), res.Vector()); err != nil {
		t.Errorf("it does not go on: %v", err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}
