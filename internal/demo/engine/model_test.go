package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/annals-io/annals/internal/demo/engine"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// program is a workflow that somebody made up: its steps, one after the other,
// and what they came to so far.
type program struct {
	Steps []step   `json:"steps"`
	Trace []string `json:"trace"`
}

// step is one thing that a workflow may do.
type step struct {
	Do    string `json:"do"`
	N     int    `json:"n"`
	Child []step `json:"child,omitempty"`
}

var (
	try = engine.Activity[int, string]{Name: "Try", Retry: engine.Retry{MaximumAttempts: 3}, Run: func(ctx context.Context, failures int) (string, error) {
		if int(engine.AttemptOf(ctx).Number) <= failures {
			return "", brokenPipe{}
		}
		return fmt.Sprintf("ok after %d", failures), nil
	}}
	interpreter = engine.Workflow[program, []string]{Name: "Interpreter"}
)

func init() { interpreter.Run = interpret }

func interpret(ctx *engine.Context, p program) ([]string, error) {
	told := func(f *engine.Future[string]) string {
		got, err := f.Get(ctx)
		if err != nil {
			return engine.FailureType(err)
		}
		return got
	}
	for i, s := range p.Steps {
		var got string
		switch s.Do {
		case "activity":
			got = told(engine.ExecuteActivity(ctx, try, s.N))
		case "activities":
			all := []*engine.Future[string]{engine.ExecuteActivity(ctx, try, s.N), engine.ExecuteActivity(ctx, try, 0), engine.ExecuteActivity(ctx, try, 1)}
			for _, f := range slices.Backward(all) {
				got += told(f) + ","
			}
		case "timer":
			engine.Sleep(ctx, time.Duration(s.N)*time.Second)
		case "race": // which of them is first does not depend on crashes
			soon, late := engine.NewTimer(ctx, time.Duration(s.N)*time.Second), engine.NewTimer(ctx, 10_000*time.Hour)
			engine.Await(ctx, late, soon)
			late.Cancel(ctx)
			got = fmt.Sprint(soon.Ready())
		case "receive":
			n, err := engine.SignalsNamed[int](ctx, "number").Receive(ctx)
			got = fmt.Sprint(n, err)
		case "set":
			engine.SetSearchAttributes(ctx, map[string]any{"Number": s.N})
		case "child":
			result, err := engine.ExecuteChildWorkflow(ctx, interpreter, fmt.Sprintf("%s/%d", ctx.Workflow().ID, len(p.Trace)), program{Steps: s.Child}).Get(ctx)
			got = fmt.Sprint(result, err)
		case "continue":
			return nil, engine.ContinueAsNew(interpreter, program{Steps: p.Steps[i+1:], Trace: append(p.Trace, "continued")})
		case "fail":
			return nil, errors.New("asked to fail")
		}
		p.Trace = append(p.Trace, s.Do+" "+got)
	}
	return p.Trace, nil
}

func drawSteps(t *rapid.T, depth int) []step {
	kinds := []string{"activity", "activities", "timer", "race", "set"}
	if depth == 0 {
		kinds = append(kinds, "receive", "continue", "child")
	} else {
		kinds = append(kinds, "fail")
	}
	steps := make([]step, rapid.IntRange(0, 5).Draw(t, "length"))
	for i := range steps {
		steps[i] = step{Do: rapid.SampledFrom(kinds).Draw(t, "do"), N: rapid.IntRange(0, 4).Draw(t, "n")}
		if steps[i].Do == "child" {
			steps[i].Child = drawSteps(t, depth+1)
		}
	}
	return steps
}

// death is how a worker dies: at which append, and whether that is stored.
type death struct {
	At     int
	Stored bool
}

// Whatever a workflow does, and whenever its workers die, it comes to what it
// comes to undisturbed, by histories that are well-formed and that its code
// agrees with.
func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		steps := drawSteps(r, 0)
		deaths := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) death {
			return death{At: rapid.IntRange(0, 6).Draw(t, "at"), Stored: rapid.Bool().Draw(t, "stored")}
		}), 1, 5).Draw(r, "deaths")
		undisturbed, disturbed := runProgram(t, r, steps, nil), runProgram(t, r, steps, deaths)
		if undisturbed != disturbed {
			r.Errorf("undisturbed it comes to\n%s\nand with workers that die to\n%s", undisturbed, disturbed)
		}
	})
}

func runProgram(t *testing.T, r *rapid.T, steps []step, deaths []death) (end string) {
	synctest.Test(t, func(t *testing.T) {
		log, err := memlog.New(memlog.Config{Streams: 2})
		if err != nil {
			t.Fatal(err)
		}
		begin(t, log, "w", interpreter, program{Steps: steps})
		// As many signals as there are who wait for one in the first run; those
		// of a later run come too late.
		for i := range steps {
			if steps[i].Do == "continue" {
				break
			}
			if steps[i].Do == "receive" {
				signal(t, log, "w", events.Signaled("number", i))
			}
		}
		done, finished := context.WithCancel(t.Context())
		go func() {
			defer finished()
			finish(t, log, "w")
		}()
		feed := make(chan struct{})
		go func() { // who waits in a later run gets a 0 when nothing else happens
			defer close(feed)
			for pause := time.NewTimer(time.Hour); ; pause.Reset(time.Hour) {
				select {
				case <-pause.C:
					_, err := log.Append(t.Context(), events.Request{Workflow: named("w"), Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("number", 0)}})
					if err != nil && !errors.Is(err, events.ErrClosed) {
						t.Error(err)
					}
				case <-done.Done():
					return
				}
			}
		}()
		for _, d := range append(deaths, death{At: -1}) {
			alive, kill := context.WithCancel(done)
			var appends atomic.Int64
			dying := log.Open(memlog.Config{Hook: func(memlog.Op) (bool, error) {
				if int(appends.Add(1))-1 == d.At {
					kill()
					return d.Stored, context.Canceled
				}
				return alive.Err() == nil, alive.Err()
			}})
			w, err := engine.New(engine.Config{Log: dying, Registry: engine.NewRegistry(interpreter, try)})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Run(alive); err != nil {
				t.Error(err)
			}
			kill()
		}
		<-feed
		end = verdict(t, r, log)
	})
	return end
}

// verdict is how the runs of the workflow ended, whose histories it checks.
func verdict(t *testing.T, r *rapid.T, log events.Log) string {
	var ends []string
	code := engine.NewRegistry(interpreter, try)
	var previous events.RunID
	for c, err := range log.Commits(t.Context(), named("w")) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Run.Run == previous {
			continue
		}
		previous = c.Run.Run
		all := history(t, log, "w", c.Run.Run)
		if _, err := code.Decide(named("w"), c.Run.Run, all, time.Now()); err != nil {
			r.Errorf("run %s: %v", c.Run.Run, err)
		}
		last := all[len(all)-1]
		end := last.GetEventType().String()
		for _, p := range last.GetWorkflowExecutionCompletedEventAttributes().GetResult().GetPayloads() {
			end += " " + string(p.GetData())
		}
		ends = append(ends, end)
	}
	return strings.Join(ends, "\n")
}
