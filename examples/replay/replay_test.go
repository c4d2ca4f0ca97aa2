package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/execution/wellformed"
	"github.com/annals-io/annals/pkg/replay"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// Which code agrees with what which other code has recorded, at each step of an
// order and at its end: a change without a version is found at the first event
// that is another, with one it is safe in both directions of time.
func TestWhichChangeIsSafe(t *testing.T) {
	for _, tt := range []struct {
		by, code string
		until    string
		at       events.EventID // where they part; 0: nowhere
	}{
		{"first", "first", "", 0},
		{"first", "careless", "", 5},
		{"first", "careless", "charge", 5},
		{"first", "careful", "charge", 0},
		{"first", "careful", "ship", 0},
		{"first", "careful", "", 0},
		{"careful", "careful", "screen", 0},
		{"careful", "careful", "ship", 0},
		{"careful", "careful", "", 0},
		{"careful", "first", "screen", 6},
		{"careful", "careless", "", 0}, // once no run of before is left, the version can go
	} {
		t.Run(fmt.Sprintf("%s, recorded by %s up to %q", tt.code, tt.by, tt.until), func(t *testing.T) {
			log, err := memlog.New(memlog.Config{})
			if err != nil {
				t.Fatal(err)
			}
			w := events.Workflow{Namespace: "default", ID: "order"}
			if err := run(t.Context(), log, w, versions[tt.by], tt.until); err != nil {
				t.Fatal(err)
			}
			history := func(yield func(*events.Event) bool) {
				for e, err := range log.Read(t.Context(), w, events.ReadOptions{}) {
					if err != nil || !yield(e) {
						return
					}
				}
			}
			for _, v := range wellformed.Check(history) {
				t.Error(v)
			}
			report, err := replay.Check(t.Context(), log, w, "", check(versions[tt.code]), replay.CheckOptions{})
			if err != nil {
				t.Fatal(err)
			}
			at := events.EventID(0)
			if report.Mismatch != nil {
				at = report.Mismatch.EventID
			}
			if at != tt.at {
				t.Errorf("they part at %d, want %d: %s", at, tt.at, report)
			}
		})
	}
}

// What the README shows.
func TestTheDemo(t *testing.T) {
	// The tables are nowhere.
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+"/", "../../cmd/annals", ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	env := append(os.Environ(), "NATS_URL="+testenv.NATSURL(t), "DATABASE_URL=postgres://127.0.0.1:1/none")
	do := func(want int, args ...string) string {
		t.Helper()
		c := exec.Command(bin+"/"+args[0], args[1:]...)
		c.Env = env
		c.WaitDelay = time.Minute
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		err := c.Run()
		var exit *exec.ExitError
		if code := c.ProcessState.ExitCode(); err != nil && !errors.As(err, &exit) || code != want {
			t.Fatalf("%v: %v, want %d\n%s", args, err, want, out.String())
		}
		return out.String()
	}
	do(0, "annals", "log", "create", "--streams", "2")
	do(0, "replay", "run", "first")
	for version, want := range map[string]string{
		"first":    "3 runs: 3 agree, 0 differ",
		"careless": "3 runs: 0 agree, 3 differ",
		"careful":  "3 runs: 3 agree, 0 differ",
	} {
		code := 0
		if version == "careless" {
			code = 1
		}
		said := do(code, "annals", "replay", "--type", "Order", "--check", bin+"/replay", version)
		if !strings.Contains(said, want) {
			t.Errorf("%s: no %q in\n%s", version, want, said)
		}
		if version == "careless" {
			t.Log(said)
			for _, part := range []string{
				"default/order-first-1 run ", "differs at event 5, decided by the workflow task that event 4 completed",
				"recorded: event 5, ScheduleActivityTask charge charge", "the code: ScheduleActivityTask screen screen", "> 5",
			} {
				if !strings.Contains(said, part) {
					t.Errorf("no %q", part)
				}
			}
		}
	}
	if said := do(0, "annals", "replay", "--type", "Parcel", "--check", bin+"/replay", "first"); !strings.Contains(said, "no runs: nothing was compared") {
		t.Errorf("of no runs: %s", said)
	}
}
