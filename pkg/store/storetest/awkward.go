package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

func awkwardCases() []testCase {
	return named(findsAwkwardTypes, keepsAwkwardNames, keepsAwkwardTags, ignoresWhatIsNoTag)
}

// awkward are texts that have meant something else to somebody before: to SQL,
// to the list filter, to JSON, to subjects, to headers.
func awkward() []string {
	return []string{
		`'`, `''`, `"`, `\`, `\\`, `\'`, `'\`, `a'b"c\d`, `\0`, `\n`, `\u0000`, `%`, `%%`, `_`, `100%_`, `*`, `>`, `a.b`, `a b`, ` a`, `a `, " ",
		"\n", "\t", "\r\n", "\x01", "\x7f", "ü", "u\u0308", "日本語", "😀", "\u200b", "\ufffe", "\U0010ffff", `' OR '1'='1`, `'; DROP TABLE x --`, "/* */", "--", "null", "NULL",
		"true", "0", "-1", "{}", "[]", "$1", "?", ":a", "@a", "`a`", "Running", "WorkflowType", "A", "a", "é", "É", strings.Repeat("x", 999) + "'", strings.Repeat("'", 1000), strings.Repeat("ü", 500),
	}
}

// findsAwkwardTypes: by each type exactly the runs of that type are found.
func findsAwkwardTypes(c *scene) {
	types := append(awkward(), "a\x00b", "\x00", "\ufffd", "a\ufffdb")
	shown := func(s string) string { return strings.ReplaceAll(s, "\x00", "\ufffd") }
	for i, name := range types {
		w := events.Workflow{Namespace: c.ns, ID: fmt.Sprintf("w%02d", i)}
		c.save(store.NewExecution{Workflow: w, RunID: "r", Type: name, TaskQueue: name, StartedAt: day(0)})
		if x := c.load(w, "").Execution; x.Type != name || x.TaskQueue != name {
			c.Errorf("saved as %q, loaded as %q and %q", name, x.Type, x.TaskQueue)
		}
	}
	for i, name := range types {
		var want, got []string
		for j := len(types) - 1; j >= 0; j-- {
			if shown(types[j]) == shown(name) {
				want = append(want, fmt.Sprintf("w%02d/r", j))
			}
		}
		for _, status := range []events.Status{0, running} {
			list := c.query(store.Query{Type: name, Status: status, StartedAfter: day(0)})
			if got = ids(list); !slices.Equal(want, got) {
				c.Errorf("%d, %.20q: found %v, want %v", i, name, got, want)
			}
			for _, x := range list {
				if x.Type != shown(name) || x.TaskQueue != shown(name) {
					c.Errorf("%q is listed as %q and %q", name, x.Type, x.TaskQueue)
				}
			}
		}
	}
}

func keepsAwkwardNames(c *scene) {
	texts := awkward()
	for i, id := range texts {
		run := texts[(i+7)%len(texts)]
		if len(run) > 255 {
			run = "r"
		}
		w := events.Workflow{Namespace: c.ns, ID: id}
		n := store.NewExecution{Workflow: w, RunID: events.RunID(run), CommitID: events.CommitID(run), Identity: id, StartedAt: day(i)}
		res := c.save(n)
		if again := c.save(n); !again.Existed || again.Position != res.Position {
			c.Errorf("%.20q: %+v", id, again)
		}
		if x := c.load(w, events.RunID(run)).Execution; x.Workflow != w || string(x.RunID) != run {
			c.Errorf("%.20q is loaded as %s, %s", id, x.Workflow, x.RunID)
		}
		c.update(store.StateUpdate{Workflow: w, To: paused, Reason: id, Identity: id})
		h := beat(w, events.RunID(run), id, 1, i)
		c.beat(h)
		c.kept(h)
		x := c.only(store.Query{StartedAfter: day(i)})
		if x.Workflow != w || string(x.RunID) != run || x.Status != paused {
			c.Errorf("%.20q is listed as %s, %s", id, x.Workflow, x.RunID)
		}
	}
	for _, ns := range []string{c.ns + `'"\%. *>`, c.ns + "ü😀"} {
		w := events.Workflow{Namespace: ns, ID: "w"}
		c.save(store.NewExecution{Workflow: w})
		if x := c.only(store.Query{Namespace: ns}); x.Workflow != w {
			c.Errorf("%q is listed as %s", ns, x.Workflow)
		}
	}
}

func keepsAwkwardTags(c *scene) {
	tags := map[string]string{"empty": "", "nul": "a\x00b", "long": strings.Repeat("ü", 10_000)}
	for _, s := range awkward() {
		tags[s] = s
	}
	w := c.workflow()
	c.save(store.NewExecution{Workflow: w, Tags: tags})
	c.same("loaded tags", tags, c.load(w, "").Execution.Tags)
	c.same("listed tags", tags, c.only(store.Query{}).Tags)
	c.update(store.StateUpdate{Workflow: w, To: continued})
	c.same("inherited tags", tags, c.only(store.Query{Status: running}).Tags)
}

// ignoresWhatIsNoTag: a memo may hold more than texts, and be written past the
// store.
func ignoresWhatIsNoTag(c *scene) {
	w := c.workflow()
	start := events.At(day(0), events.WorkflowStarted("T", ""))
	start.GetWorkflowExecutionStartedEventAttributes().Memo = events.MemoUpserted(map[string]any{
		"text": "t", "number": 1, "list": []string{"a"}, "bytes": []byte("b"), "nothing": nil, "map": map[string]any{"a": "b"},
		"nul\x00key": "first", "nul\ufffdkey": "second",
	}).GetWorkflowPropertiesModifiedEventAttributes().UpsertedMemo
	c.append(events.Request{Workflow: w, Expect: events.NewRun(), RunID: "r", Events: []*events.Event{start}})
	c.same("loaded", map[string]string{"text": "t", "nul\x00key": "first", "nul\ufffdkey": "second"}, c.load(w, "").Execution.Tags)
	c.same("listed", map[string]string{"text": "t", "nul\ufffdkey": "second"}, c.only(store.Query{}).Tags)
}
