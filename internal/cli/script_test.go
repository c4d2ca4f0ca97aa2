package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/pgtables"
	"github.com/annals-io/annals/internal/testenv/temporalfake"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// Each script is run with the real programs on servers of its own account and
// database. Their commands, beside testscript's:
//
//	exits CODE PROGRAM ARG…     runs a program that must end with the code
//	field PATH WANT             a value of the JSON on stdout, e.g. events.0.eventId
//	keys PATH NAME…             exactly these members of an object; . is the whole
//	lines N                     so many lines on stdout
//	foreign WORKFLOW            a message on the workflow's subject that is no commit
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	bin := install(t)
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			t.Parallel()
			testscript.Run(t, testscript.Params{
				Files:               []string{script},
				RequireExplicitExec: true,
				RequireUniqueNames:  true,
				Setup: func(e *testscript.Env) error {
					e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
					e.Setenv("NATS_URL", testenv.NATSURL(t))
					e.Setenv("DATABASE_URL", testenv.Postgres(t, pgtables.Empty))
					if filepath.Base(script) == "import_from.txtar" {
						e.Setenv("TEMPORAL", temporalServer(t))
					}
					if strings.HasPrefix(filepath.Base(script), "backup") { // where a log is restored
						e.Setenv("SECOND_NATS_URL", testenv.NATSURL(t))
						e.Setenv("SECOND_DATABASE_URL", testenv.Postgres(t, pgtables.Empty))
					}
					e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, ".config"))
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"exits": exits, "field": field, "keys": keys, "lines": lines, "foreign": foreign, "own": own, "spoil": spoil, "lose": lose,
				},
			})
		})
	}
}

func foreign(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: foreign WORKFLOW")
	}
	nc, err := nats.Connect(ts.Getenv("NATS_URL"))
	ts.Check(err)
	defer nc.Close()
	// The stream's answer says that it is stored.
	answer, err := nc.Request(events.Workflow{Namespace: "default", ID: args[0]}.Subject(), []byte("hello"), 30*time.Second)
	ts.Check(err)
	if !strings.Contains(string(answer.Data), `"seq"`) {
		ts.Fatalf("foreign: %s", answer.Data)
	}
}

// jetStream is on a connection of its own, which the caller closes.
func jetStream(ts *testscript.TestScript) jetstream.JetStream {
	nc, err := nats.Connect(ts.Getenv("NATS_URL"))
	ts.Check(err)
	js, err := jetstream.New(nc)
	ts.Check(err)
	return js
}

// spoil gives a stream of the log an age after which it forgets.
func spoil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: spoil STREAM")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	js := jetStream(ts)
	defer js.Conn().Close()
	s, err := js.Stream(ctx, args[0])
	ts.Check(err)
	c := s.CachedInfo().Config
	c.MaxAge = time.Hour
	_, err = js.UpdateStream(ctx, c)
	ts.Check(err)
}

// lose drops a table.
func lose(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lose TABLE")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, ts.Getenv("DATABASE_URL"))
	ts.Check(err)
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "DROP TABLE "+args[0]+" CASCADE")
	ts.Check(err)
}

// own makes a projection of one's own of the log, as a service does, whose handler
// refuses a workflow, and ends once the tables are as far as the log.
func own(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: own NAME WORKFLOW")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	js := jetStream(ts)
	defer js.Conn().Close()
	log, err := natslog.Open(ctx, js, natslog.Config{})
	ts.Check(err)
	pool, err := postgres.OpenPool(ctx, ts.Getenv("DATABASE_URL"), postgres.PoolConfig{})
	ts.Check(err)
	defer pool.Close()
	p, err := postgres.Open(pool, postgres.Definition{
		Name: args[0], Version: 7, Tables: `CREATE TABLE seen (workflow_id text PRIMARY KEY)`, Schema: args[0], Views: []string{"seen"},
	})
	ts.Check(err)
	ts.Check(p.Migrate(ctx))
	target, err := postgres.NewTarget(p, postgres.HandlerFunc(func(ctx context.Context, tx pgx.Tx, commits []projection.Commit) error {
		for _, c := range commits {
			if c.Workflow.ID == args[1] {
				return postgres.Refuse(c, errors.New("not to be seen"))
			}
			if _, err := tx.Exec(ctx, `INSERT INTO seen VALUES ($1) ON CONFLICT DO NOTHING`, c.Workflow.ID); err != nil {
				return err
			}
		}
		return nil
	}), postgres.TargetConfig{})
	ts.Check(err)
	projector, err := projection.New(log, target, projection.Config{Logger: slog.New(slog.DiscardHandler)})
	ts.Check(err)
	var end events.Vector
	for n := range events.Partition(log.Identity().Map.Partitions()) {
		b, err := log.Bounds(ctx, n)
		ts.Check(err)
		if b.Last > 0 {
			end, err = end.Merge(events.VectorOf(events.Position{Partition: n, Sequence: b.Last}))
			ts.Check(err)
		}
	}
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- projector.Run(run) }()
	lacking, err := p.WaitFor(ctx, end)
	stop()
	ts.Check(errors.Join(err, <-ended))
	if len(lacking) != 1 {
		ts.Fatalf("the tables lack %v", lacking)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// at is the value at a path of the JSON on stdout.
func at(ts *testscript.TestScript, path string) any {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	if path == "." {
		return v
	}
	for step := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			next, ok := x[step]
			if !ok {
				ts.Fatalf("no %s in %s", step, path)
			}
			v = next
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(x) {
				ts.Fatalf("no element %s of %d in %s", step, len(x), path)
			}
			v = x[i]
		default:
			ts.Fatalf("nothing under %s in %s", step, path)
		}
	}
	return v
}

func field(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] field PATH WANT")
	}
	v := at(ts, args[0])
	got, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		ts.Check(err)
		got = string(b)
	}
	if (got == args[1]) == neg {
		ts.Fatalf("%s is %q, want %s%q", args[0], got, map[bool]string{true: "anything but "}[neg], args[1])
	}
}

func keys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: keys PATH NAME…")
	}
	object, ok := at(ts, args[0]).(map[string]any)
	if !ok {
		ts.Fatalf("%s is no object", args[0])
	}
	got := slices.Sorted(maps.Keys(object))
	want := slices.Sorted(slices.Values(args[1:]))
	if !slices.Equal(got, want) {
		ts.Fatalf("%s has %v, want %v", args[0], got, want)
	}
}

func lines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lines N")
	}
	if got := fmt.Sprint(strings.Count(ts.ReadFile("stdout"), "\n")); got != args[0] {
		ts.Fatalf("%s lines, want %s", got, args[0])
	}
}

// temporalServer has a run that is closed, one that is open, and one that it lists and
// does not have any more.
func temporalServer(t *testing.T) string {
	t.Helper()
	s := temporalfake.New(t, temporalfake.Options{})
	began := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	numbered := func(evs ...*events.Event) []*events.Event {
		for i, e := range evs {
			e.EventId = int64(i + 1)
			events.At(began, e)
		}
		return evs
	}
	s.Put(temporalfake.Run{Workflow: "closed", ID: "A", Began: began, Closed: began, Events: numbered(events.WorkflowStarted("Order", "orders"), events.WorkflowCompleted("done"))})
	s.Put(temporalfake.Run{Workflow: "open", ID: "B", Began: began, Events: numbered(events.WorkflowStarted("Order", "orders"))})
	s.Put(temporalfake.Run{Workflow: "forgotten", ID: "C", Began: began, Forgotten: true})
	return s.Address
}
