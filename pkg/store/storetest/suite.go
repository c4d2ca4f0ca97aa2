// Package storetest is the suite that every store.Store passes.
package storetest

import (
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/annals-io/annals/pkg/events/eventstest"
	"github.com/annals-io/annals/pkg/store"
)

// Harness is one store under test. The suite keeps its workflows in namespaces
// of its own, a new one for each case, so that what is under it may be shared.
type Harness struct {
	// Open gives a new handle on the store, configured as the options say. It is
	// what a program that is started again has. All handles see the same.
	Open func(t testing.TB, o Options) store.Store
	// Features are what the harness can do beyond what each can. Cases that need
	// what is absent are not part of the suite for that store.
	Features Features
	// Short has cases that repeat themselves do so a few times only, for a store
	// that is slow to ask.
	Short bool
}

// Options are what the suite asks of a handle. Zero fields mean the default.
type Options struct {
	eventstest.Options
	// Wait bounds a query's wait for the tables.
	Wait time.Duration
}

// Features see Harness.
type Features struct {
	// Faults says that Options.Fault and Options.Limits are honoured.
	Faults bool
}

// times is how often a case does what it usually does n times.
func (h Harness) times(n int) int {
	if h.Short {
		return max(2, n/8)
	}
	return n
}

// Run runs every case on the store as a subtest.
func Run(t *testing.T, h Harness) {
	groups := []group{
		{"save", saveCases()},
		{"load", loadCases()},
		{"append", appendCases()},
		{"update", updateCases()},
		{"continue", continueCases()},
		{"heartbeat", heartbeatCases()},
		{"query", queryCases()},
		{"awkward", awkwardCases()},
		{"input", inputCases()},
		{"race", raceCases()},
	}
	if h.Features.Faults {
		groups = append(groups, group{"faults", faultCases()})
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) { c.run(newScene(t, h)) })
			}
		})
	}
}

type group struct {
	name  string
	cases []testCase
}

// testCase is one case: a name that says what is shown.
type testCase struct {
	name string
	run  func(*scene)
}

// named makes cases of functions that are named for what they show:
// keepsTags is "keeps tags".
func named(functions ...func(*scene)) []testCase {
	cases := make([]testCase, len(functions))
	for i, f := range functions {
		full := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
		var name strings.Builder
		for _, r := range full[strings.LastIndexByte(full, '.')+1:] {
			if 'A' <= r && r <= 'Z' {
				name.WriteByte(' ')
				r += 'a' - 'A'
			}
			name.WriteRune(r)
		}
		cases[i] = testCase{name: name.String(), run: f}
	}
	return cases
}
