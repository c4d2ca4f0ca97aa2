package eventstest

import (
	"strings"

	"github.com/annals-io/annals/pkg/events"
)

// awkward are ids that a subject, a header or an encoding could stumble over.
var awkward = []struct{ name, id string }{
	{"dots", "a.b..c."},
	{"a dot", "."},
	{"stars", "*a*"},
	{"a full wildcard", ">"},
	{"percent", "100%"},
	{"what looks escaped", "a%2Eb%%41"},
	{"spaces", " a  b "},
	{"line ends", "a\r\nb\n"},
	{"tabs and controls", "\ta\x01\x7f\x1b"},
	{"umlauts", "Zürich-Aufträge"},
	{"other scripts", "注文-заказ-طلب"},
	{"emoji", "🧾👩‍👩‍👧"},
	{"composed apart", "e\u0301 is not \u00e9"},
	{"slashes and colons", "orders/2026:42?x=y&z#f"},
	{"quotes", "\"a' `b` \\ {c}"},
	{"what means something in an envelope", "- 1-2 0>1 5"},
	{"a dash", "-"},
	{"a dollar", "$JS.API"},
	{"a header's name", "Nats-Rollup: all"},
	{"a slot", "annals.7.a.b"},
}

func awkwardCases() []testCase {
	var cases []testCase
	for _, a := range awkward {
		cases = append(cases, testCase{a.name, func(c *scene) { takesID(c, c.ns+a.id, a.id) }})
	}
	return append(cases,
		testCase{"1,000 bytes", func(c *scene) { takesID(c, strings.Repeat("n", 255), strings.Repeat("w", 1000)) }},
		testCase{"1,000 bytes of Unicode", func(c *scene) { takesID(c, c.ns, strings.Repeat("é", 500)) }},
		testCase{"the longest subject that ids make", func(c *scene) {
			takesID(c, strings.Repeat("\x01", 255), strings.Repeat("é", 500))
		}},
		testCase{"ids that are alike", func(c *scene) {
			ids := []string{"a.b", "a%2Eb", "a%2eb", "a b", "a%20b", "A.b", "a.b ", "é", "e\u0301"}
			for i, id := range ids {
				w := c.workflow(id)
				c.append(events.Request{Workflow: w, RunID: events.RunID(id), Events: signalsAfterStart(i)})
			}
			for i, id := range ids {
				if n := len(c.history(c.workflow(id), events.RunID(id))); n != i+1 {
					c.Errorf("workflow %q has %d events, want %d", id, n, i+1)
				}
			}
		}},
	)
}

func signalsAfterStart(n int) []*events.Event { return list(started("T"), signals(n, "s")...) }

// takesID uses an id for everything that an append can name.
func takesID(c *scene, namespace, id string) {
	c.Helper()
	w := events.Workflow{Namespace: namespace, ID: id}
	c.seen = append(c.seen, w)
	short := id[:min(len(id), 200)]
	for !strings.HasPrefix(id, strings.ToValidUTF8(short, "")) {
		short = short[:len(short)-1]
	}
	short = strings.ToValidUTF8(short, "")
	given := numbered(1, list(started(id), signaled(id)))
	first := c.append(events.Request{Workflow: w, RunID: events.RunID(short), CommitID: events.CommitID(short), Events: given})
	if got := first.Cursor.Workflow(); got != w || first.Cursor.WorkflowType() != id {
		c.Errorf("the cursor is of %q and type %q", got, first.Cursor.WorkflowType())
	}
	// By name, by cursor's text, and to a run of another type.
	c.append(events.Request{Workflow: w, CommitID: events.CommitID(short), RunID: events.RunID(short), Events: given})
	var cursor events.Cursor
	if err := cursor.UnmarshalText([]byte(text(first.Cursor))); err != nil {
		c.Fatal(err)
	}
	second := c.append(events.Request{Workflow: w, Expect: events.After(cursor), Events: list(continuedAs(""), started(""))})
	c.append(events.Request{Workflow: w, Expect: events.AtEndOf(second.RunID), CommitID: events.CommitID("+" + short), Events: signals(1, id)})
	got := c.history(w, events.RunID(short))
	if len(got) != 3 {
		c.Fatalf("history has %d events, want 3", len(got))
	}
	c.same("history", given, got[:2])
	commits := c.commits(w)
	if len(commits) != 3 || commits[0].ID != events.CommitID(short) || commits[0].Workflow != w || commits[0].Run.Type != id {
		c.Errorf("%d commits, the first is %+v", len(commits), commits[0])
	}
}
