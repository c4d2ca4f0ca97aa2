package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"testing"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

const racers = 16

// Sixteen processes start one workflow at the same moment: one wins, and the
// others are told who did.
func TestOneOfSixteenProcessesStartsTheWorkflow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		url      func(testing.TB) string
		replicas string
	}{
		{"R1", testenv.NATSURL, "1"},
		{"R3", testenv.NATSClusterURL, "3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := environment{t: t, nats: tc.url(t)}
			e.annals(0, "log", "create", "--streams", "2", "--replicas", tc.replicas)
			for round := range *rounds {
				e.race(t, fmt.Sprintf("race-%d", round))
			}
			t.Logf("%d rounds of %d processes", *rounds, racers)
		})
	}
}

func (e environment) race(t *testing.T, workflow string) {
	t.Helper()
	type racer struct {
		cmd   *exec.Cmd
		stdin io.WriteCloser
		out   bytes.Buffer
		errs  bytes.Buffer
	}
	all := make([]*racer, racers)
	for i := range all {
		r := &racer{cmd: e.command(context.Background(), "annals", "append", workflow, "--new-run", "--events", "-", "-o", "json")}
		r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.errs
		var err error
		if r.stdin, err = r.cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err := r.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all[i] = r
	}
	// The barrier: they all read their events now.
	for i, r := range all {
		line, err := eventjson.EncodeEvent(events.WorkflowStarted("Race", "queue", i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.stdin.Write(append(line, '\n')); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range all {
		if err := r.stdin.Close(); err != nil {
			t.Fatal(err)
		}
	}
	type appended struct {
		RunID        string
		FirstEventID events.EventID
		LastEventID  events.EventID
		Error        *struct {
			Code   string
			Actual struct {
				RunID   string
				EventID events.EventID
				Status  string
			}
		}
	}
	winner := ""
	var losers []appended
	for _, r := range all {
		_ = r.cmd.Wait()
		got := parse[appended](t, r.out.String())
		switch code := r.cmd.ProcessState.ExitCode(); {
		case code == 0 && winner == "":
			winner = got.RunID
			if got.FirstEventID != 1 || got.LastEventID != 1 {
				t.Errorf("%s: the winner has events %d to %d", workflow, got.FirstEventID, got.LastEventID)
			}
		case code == 0:
			t.Errorf("%s: a second process says that it started the workflow", workflow)
		case code == 1:
			losers = append(losers, got)
		default:
			t.Errorf("%s: exit code %d\n%s%s", workflow, code, &r.out, &r.errs)
		}
	}
	if winner == "" || len(losers) != racers-1 {
		t.Errorf("%s: winner %q and %d losers", workflow, winner, len(losers))
	}
	for _, l := range losers {
		if l.Error == nil || l.Error.Code != "conflict" || l.Error.Actual.RunID != winner || l.Error.Actual.EventID != 1 {
			t.Errorf("%s: a loser was told %+v, the winner is %s", workflow, l.Error, winner)
		}
	}
	if history := parseLines[map[string]any](t, e.annals(0, "history", workflow, "-o", "jsonl")); len(history) != 1 {
		t.Errorf("%s: the history has %d events", workflow, len(history))
	}
}
