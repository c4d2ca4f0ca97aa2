package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection/postgres"
	"github.com/annals-io/annals/pkg/projection/projectiontest"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// readme is the block of README.md in a language.
func readme(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	for _, b := range blocks {
		if b[1] == language {
			return b[2]
		}
	}
	t.Fatalf("README.md has no block of %q", language)
	return ""
}

// plain is text without the blanks that fill a table's columns.
func plain(s string) string {
	return regexp.MustCompile(`(?m) +$`).ReplaceAllString(s, "")
}

func TestItPrintsWhatReadmeSays(t *testing.T) {
	t.Parallel()
	nc := testenv.NATS(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natslog.Create(t.Context(), js, natslog.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, testenv.URL(nc), testenv.Postgres(t), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if diff := cmp.Diff(readme(t, ""), plain(out.String())); diff != "" {
		t.Errorf("README.md (-) and what it prints (+):\n%s", diff)
	}
}

// The command of README.md runs as it stands there.
func TestTheCommandOfReadme(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute) // it builds annals
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-c", readme(t, "sh"))
	c.Dir = "../.."
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGINT) }
	c.WaitDelay = time.Minute
	var logs strings.Builder
	c.Stderr = &logs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, logs.String())
	}
	if diff := cmp.Diff(readme(t, ""), plain(string(out))); diff != "" {
		t.Errorf("README.md (-) and what it prints (+):\n%s\n%s", diff, logs.String())
	}
}

// Version 2 is right as a projection, and so is the way to it from version 1. The
// histories end open, paid and refunded; the suite resets them.
func TestTheHandler(t *testing.T) {
	t.Parallel()
	started := func() *events.Event { return events.WorkflowStarted("Order", "orders", order{Customer: "ada"}) }
	projectiontest.Run(t, projectiontest.Subject{
		Open: projectiontest.OnPostgres(func(t *testing.T) *pgxpool.Pool {
			t.Helper()
			pool, err := postgres.OpenPool(t.Context(), testenv.Postgres(t), postgres.PoolConfig{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			return pool
		}, ordersByCustomer(2), handler{2}, projectiontest.Earlier{Definition: ordersByCustomer(1), Handler: handler{1}}),
		Histories: []projectiontest.History{
			{{started(), events.Custom("OrderPaid", payment{Cents: 700})}, {events.Custom("OrderRefunded", refund{Cents: 200})}, {events.WorkflowCompleted()}},
			{{started()}, {events.Custom("OrderPaid", payment{Cents: 100})}, {events.Custom("OrderPaid", payment{Cents: 50}), events.Custom("OrderRefunded", refund{Cents: 20})}},
			{
				{started(), events.Custom("OrderPaid", payment{Cents: 1})},
				{events.ContinuedAsNew("Order", "orders", order{Customer: "ada"}), started(), events.Custom("OrderPaid", payment{Cents: 2})},
			},
		},
		Rounds: 2,
	})
}
