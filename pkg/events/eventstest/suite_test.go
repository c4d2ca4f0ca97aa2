package eventstest

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// promises are what a log is held to, in the words of its contract, and the cases
// that show each: group/case, with * for any text. At least so many must be there.
var promises = []struct {
	promise string
	cases   []string
	least   int
}{
	{"start brand new", []string{"start/starts what is new"}, 1},
	{"start while open", []string{"start/start is refused while a run is open"}, 1},
	{"start after close", []string{"start/start follows a closed run", "start/start follows a closed cursor"}, 2},
	{"append after close", []string{"append/append after a close is refused"}, 1},
	{"stale append", []string{"append/append after a stale cursor is refused"}, 1},
	{"append ambiguous then retried, applied", []string{"outcome/*, the acknowledgement is lost once", "outcome/*, the acknowledgement is lost, then *"}, 7 * 2 * 5},
	{"append ambiguous then retried, not applied", []string{"outcome/*, the message is lost once", "outcome/*, the message is lost, then *"}, 7 * 2 * 5},
	{"the same commit id again, at once", []string{"commit id/*, at once"}, 6 * 2},
	{"the same commit id again, after other commits", []string{"commit id/*, after other commits"}, 6 * 2},
	{"the same commit id again, after the run closed", []string{"commit id/*, after the run closed", "commit id/*, after two more runs"}, 2 * 6 * 2},
	{"the same commit id again, from another process", []string{"commit id/commit id is known to another process"}, 1},
	{"the same commit id again, with the attempted expectation", []string{"outcome/*, then *"}, 7 * 2 * 2 * 4},
	{"the same commit id again, without the attempted expectation", []string{"outcome/*, repeated without what was tried"}, 7},
	{"the same commit id again, by many at once", []string{"commit id/commit id repeated by many is stored once", "outcome/a repetition overtakes the append"}, 2},
	{"the same commit id with other content", []string{"commit id/*, a word, at once", "commit id/commit id is known to another process"}, 7},
	{"one id on two workflows", []string{"commit id/commit id on two workflows is two appends"}, 1},
	{"at the end under 32 writers, without a run id", []string{"at end/thirty two writers of the newest run"}, 1},
	{"at the end under 32 writers, with a run id", []string{"at end/thirty two writers of one run"}, 1},
	{"ids dense and assigned", []string{"event id/event ids are assigned dense", "event id/event ids that are right are taken", "event id/ids are refused: *"}, 10},
	{"many runs of one workflow and reading each, both ways", []string{"runs/many runs read in every way"}, 1},
	{"many runs of one workflow and reading each, by page", []string{"runs/many runs read in pages", "runs/a long run reads in pages"}, 2},
	{"continue-as-new chains", []string{"chains of runs/continue as new chain", "runs/continue as new is one commit"}, 2},
	{"retry chains", []string{"chains of runs/retry chain"}, 1},
	{"cron chains", []string{"chains of runs/cron chain"}, 1},
	{"terminate-and-start", []string{"runs/terminate and start"}, 1},
	{"the helper start-or-use-existing", []string{"policies/start or use existing", "policies' races/sixteen starts or uses of a new workflow"}, 2},
	{"the helper terminate-and-start", []string{"policies/terminate and start by policy", "policies' races/sixteen terminate and starts"}, 2},
	{"the helper reject-duplicate", []string{"policies/reject duplicate", "policies' races/sixteen starts where one may follow"}, 2},
	{"the helper failed-only", []string{"policies/failed only follows a failure", "policies' races/sixteen starts where one may follow"}, 2},
	{"the helper signal-with-start", []string{
		"policies/signal with start", "policies' races/sixteen signals with start of a new workflow", "policies' races/signals with start while runs end",
	}, 3},
	{"every policy on every state of a workflow", []string{"policies/start with *", "policies/signal with start with *"}, 10 + 7},
	{"the helpers' commit ids", []string{"policies/*, repeated with *", "policies/start id with other content is refused"}, 10*2 + 1},
	{"the helpers' unknown outcomes", []string{
		"policies' outcome/*, repeated with what was tried", "policies' outcome/*, repeated by its commit id", "policies' outcome/*once",
		"policies' outcome/starts of one id among faults", "policies' outcome/a repetition overtakes the start",
	}, 10*2*(4+2) + 10*2 + 2},
	{"heartbeats: newest by attempt and time wins", []string{"heartbeats/the newest is kept in any order", "heartbeats/many writers end with the newest"}, 2},
	{"heartbeats: age limit", []string{"heartbeats' age/heartbeats age out"}, 1},
	{"limits: warn and refuse, as settings", []string{"limits/history of as many events as allowed", "limits/history of as many bytes as allowed"}, 2},
	{"namespaces apart", []string{"runs/namespaces are apart", "heartbeats/heartbeats of namespaces are apart"}, 2},
	{"every awkward id", []string{"awkward ids/*", "heartbeats/of awkward ids: *"}, 24 + 20},
	{"commits of exactly the limit and one byte more", []string{
		"limits/commit of exactly the limit", "limits/commit limit counts what is assigned", "heartbeats/a heartbeat of exactly the limit",
	}, 3},
	{"foreign messages: ErrCorrupt, others unharmed", []string{"foreign/*, after commits", "foreign/*, as the first message", "heartbeats/a foreign message stops its activity only"}, 33},
	{"foreign messages: void mends it", []string{
		"void/void covers several messages", "void/void of a message after a close", "void/void of a message after a void", "void/sixteen racers void one message",
		"void/void takes no append back", "void's outcome/*",
	}, 7},
	{"control: one of many deciders wins, and all learn what was decided", []string{"control/one of many deciders wins", "control/a decision behind another says so"}, 2},
	{"control: decisions are recognised by their commit id", []string{"control/a decision is recognised when repeated", "control's outcome/*"}, 5},
	{"control: unknown kinds and foreign messages are kept and told", []string{"control/decisions of any kind are kept", "control/what is no decision is told and passed"}, 2},
	{"a stale cache costs a round trip", []string{"cached/*", "truncated/*"}, 6},
	{"too many appends at a time", []string{"overload/*"}, 1},
	{"reset from an open base", []string{"reset/reset of an open run closes it"}, 1},
	{"reset from a closed base", []string{"reset/reset of a closed run leaves it"}, 1},
	{"reset from a base that is itself a reset", []string{"reset/reset of a reset"}, 1},
	{"resets repeated, raced, of unknown outcome", []string{"reset/reset is recognised when repeated", "reset/sixteen racers reset one run", "reset's outcome/*"}, 3},
}

// TestEveryPromiseHasItsCases: a case that is removed or renamed is noticed.
func TestEveryPromiseHasItsCases(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range groups(Harness{Features: Features{
		Faults: true, OneHandle: true,
		Truncatable: func(testing.TB) (h Harness, truncate func(events.Partition, uint64)) { return },
		Aging:       func(testing.TB, time.Duration) events.Log { return nil },
		Alter:       func(testing.TB, events.Position, func(*events.Message)) {},
	}}) {
		for _, c := range g.cases {
			name := g.name + "/" + c.name
			if seen[name] {
				t.Errorf("two cases are %q", name)
			}
			seen[name] = true
		}
	}
	for _, p := range promises {
		found := map[string]bool{}
		for _, pattern := range p.cases {
			re := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$")
			n := len(found)
			for name := range seen {
				if re.MatchString(name) {
					found[name] = true
				}
			}
			if len(found) == n {
				t.Errorf("%s: no other case is %q", p.promise, pattern)
			}
		}
		if len(found) < p.least {
			t.Errorf("%s: %d cases show it, want at least %d", p.promise, len(found), p.least)
		}
	}
}
