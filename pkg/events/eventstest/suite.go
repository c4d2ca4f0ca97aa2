// Package eventstest is the suite that every events.Log passes.
package eventstest

import (
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// Harness is one log under test. The suite keeps its workflows in namespaces of
// its own, a new one for each case, so that the log may be shared.
type Harness struct {
	// Open gives a new handle on the log, configured as the options say. It is
	// what a program that is started again has.
	Open func(t testing.TB, o Options) events.Log
	// Put stores a message past the library, as anybody with a client could,
	// and returns its sequence.
	Put func(t testing.TB, p events.Partition, subject string, h events.Header, body []byte) uint64
	// PutHeartbeat is Put for the stream of heartbeats.
	PutHeartbeat func(t testing.TB, subject string, h events.Header, body []byte) uint64
	// PutDecision is Put for the control stream.
	PutDecision func(t testing.TB, subject string, h events.Header, body []byte) uint64
	Features    Features
	// Short has cases that repeat themselves do so a few times only, for a log
	// that is slow to ask.
	Short bool
}

// times is how often a case does what it usually does n times.
func (h Harness) times(n int) int {
	if h.Short {
		return max(2, n/8)
	}
	return n
}

// Options are what the suite asks of a handle. Zero fields mean the default.
type Options struct {
	Limits   events.Limits
	LookBack int
	// MaxInFlightCommits and MaxInFlightBytes bound the appends under way.
	MaxInFlightCommits int
	MaxInFlightBytes   int64
	// AppendTimeout ends appends and records of heartbeats whose context has no
	// deadline.
	AppendTimeout time.Duration
	// Fault, if set, decides what happens to each attempt to store a message.
	// It is called from many goroutines. A heartbeat has no commit id.
	Fault func(events.CommitID) Fault
}

// Fault is what becomes of an attempt.
type Fault int

const (
	// Deliver: nothing happens to it.
	Deliver Fault = iota
	// LoseMessage: it does not arrive, and the appender is not told.
	LoseMessage
	// LoseAck: it arrives, and the appender does not hear of it.
	LoseAck
	// NoAnswer: it does not arrive, and the appender waits for an answer for as
	// long as the context of the attempt lasts.
	NoAnswer
)

// Features are what a log's harness can do beyond what each can. Cases that
// need what is absent are not part of the suite for that log.
type Features struct {
	// Faults says that Options.Fault is honoured.
	Faults bool
	// Aging gives another log, an empty one that keeps heartbeats for an age.
	Aging func(t testing.TB, age time.Duration) events.Log
	// OneHandle says that what Open gives is one handle, and not a new one for
	// each append: it knows what else it is doing.
	OneHandle bool
	// Truncatable makes a log of its own, whose partitions can be cut back to a
	// last sequence while handles are open.
	Truncatable func(t testing.TB) (h Harness, truncate func(p events.Partition, last uint64))
	// Alter changes a stored message in place.
	Alter func(t testing.TB, p events.Position, change func(*events.Message))
}

// Run runs every case on the log as a subtest.
func Run(t *testing.T, h Harness) {
	for _, g := range groups(h) {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) { c.run(newCase(t, h)) })
			}
		})
	}
}

// group is the cases about one thing.
type group struct {
	name  string
	cases []testCase
}

// groups are those that a log under such a harness goes through.
func groups(h Harness) []group {
	f := h.Features
	out := []group{
		{"start", startCases()},
		{"append", appendCases()},
		{"at end", atEndCases()},
		{"commit id", commitIDCases()},
		{"event id", eventIDCases()},
		{"awkward ids", awkwardCases()},
		{"runs", runCases()},
		{"chains of runs", chainCases()},
		{"missing", missingCases()},
		{"input", inputCases()},
		{"limits", limitCases()},
		{"foreign", foreignCases()},
		{"void", voidCases()},
		{"reset", resetCases()},
		{"tokens", tokenCases()},
		{"source", sourceCases()},
		{"races", raceCases()},
		{"policies", policyCases()},
		{"policies' races", policyRaceCases()},
		{"heartbeats", heartbeatCases()},
		{"cached", cachedCases()},
		{"control", controlCases()},
		{"reads", readCases()},
	}
	if f.Faults {
		out = append(out,
			group{"outcome", outcomeCases()}, group{"policies' outcome", policyOutcomeCases(h.Short)}, group{"void's outcome", voidOutcomeCases()},
			group{"reset's outcome", resetOutcomeCases()}, group{"heartbeats' outcome", heartbeatOutcomeCases()},
			group{"control's outcome", controlOutcomeCases()})
	}
	if f.Faults && f.OneHandle {
		out = append(out, group{"overload", overloadCases()})
	}
	if f.Truncatable != nil {
		out = append(out, group{"truncated", truncatedCases()})
	}
	if f.Aging != nil {
		out = append(out, group{"heartbeats' age", heartbeatAgeCases()})
	}
	if f.Alter != nil {
		out = append(out, group{"altered", append(alteredCases(), named(voidTakesNoAppendBackBehindDamage, coveringTrustsNoHint)...)})
	}
	return out
}

// testCase is one case: a name that says what is shown.
type testCase struct {
	name string
	run  func(c *scene)
}

// named makes cases of functions that are named for what they show:
// startsBrandNew is "starts brand new".
func named(functions ...func(*scene)) []testCase {
	cases := make([]testCase, len(functions))
	for i, f := range functions {
		full := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
		name := full[strings.LastIndexByte(full, '.')+1:]
		var b strings.Builder
		for _, r := range name {
			if r >= 'A' && r <= 'Z' {
				b.WriteByte(' ')
				r += 'a' - 'A'
			}
			b.WriteRune(r)
		}
		cases[i] = testCase{b.String(), f}
	}
	return cases
}
