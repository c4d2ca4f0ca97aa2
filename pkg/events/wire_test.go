package events_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	"pgregory.net/rapid"

	"github.com/annals-io/annals/pkg/events"
)

// drawCommit draws a commit as a log could hold it.
func drawCommit(t *rapid.T) *events.Commit {
	seq := rapid.Uint64Range(1, 1<<62).Draw(t, "sequence")
	c := &events.Commit{
		Workflow: drawWorkflow(t), Position: events.Position{Partition: 3, Sequence: seq}, Kind: events.KindEvents,
		ID:   events.CommitID(drawID(t, "commit id", events.MaxCommitIDBytes)),
		Body: rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "body"),
	}
	if rapid.Bool().Draw(t, "traced") {
		c.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	}
	copy(c.Digest[:], rapid.SliceOfN(rapid.Byte(), 12, 12).Draw(t, "digest"))
	copy(c.Hash[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "hash"))
	for last := seq; last > 1 && len(c.Back) < events.MaxBack && (len(c.Back) == 0 || rapid.Bool().Draw(t, "more before")); {
		last = rapid.Uint64Range(1, last-1).Draw(t, "before")
		c.Back = append(c.Back, last)
	}
	if len(c.Back) > 0 && rapid.Bool().Draw(t, "is the first") {
		c.Back = nil
	}
	if seq > 1 && rapid.Bool().Draw(t, "is a void") {
		return drawVoid(t, c)
	}
	c.Run = drawSegment(t, c, "run", nil)
	if rapid.Bool().Draw(t, "two runs") {
		closed := drawSegment(t, c, "closed", nil)
		closed.After = enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
		c.Closed = &closed
		c.Run = drawSegment(t, c, "run", &closed)
	}
	if c.Run.Opens() && len(c.Back) > 0 && rapid.Bool().Draw(t, "is a reset") {
		c.Base = &events.ResetBase{
			Base:     events.Base{Run: c.Run.Run + "0", Event: events.EventID(rapid.Int64Range(1, 1<<40).Draw(t, "base event"))},
			Sequence: rapid.Uint64Range(1, c.Back[0]).Draw(t, "base lies at"),
		}
		copy(c.Base.Hash[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "base hash"))
		c.Run.First += c.Base.Event
		c.Run.Last += c.Base.Event
	}
	return c
}

// drawVoid makes a void of what was drawn for a commit.
func drawVoid(t *rapid.T, c *events.Commit) *events.Commit {
	c.Kind, c.Traceparent, c.Body = events.KindVoid, "", []byte(rapid.SampledFrom([]string{"", "someone's script", "héé"}).Draw(t, "reason"))
	previous := uint64(0)
	if len(c.Back) > 0 {
		previous = c.Back[0]
	}
	if previous == c.Position.Sequence-1 { // no room for a message between
		c.Position.Sequence++
	}
	last := rapid.Uint64Range(previous+1, c.Position.Sequence-1).Draw(t, "last voided")
	c.Void = &events.Void{Messages: rapid.Uint64Range(1, last-previous).Draw(t, "voided"), Last: last}
	if len(c.Back) == 0 || rapid.Bool().Draw(t, "no run yet") {
		return c
	}
	s := drawSegment(t, c, "run", nil)
	s.RunFirst = rapid.Uint64Range(1, previous).Draw(t, "began")
	s.PrevRunFirst = rapid.Uint64Range(0, s.RunFirst).Draw(t, "run before began")
	s.First, s.Before = s.Last+1, s.After
	c.Run = s
	return c
}

func drawSegment(t *rapid.T, c *events.Commit, label string, closed *events.Segment) events.Segment {
	open := rapid.SampledFrom([]events.Status{enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED})
	s := events.Segment{
		Run:   events.RunID(drawID(t, label, events.MaxRunIDBytes-2)),
		Type:  rapid.OneOf(rapid.Just(""), rapid.Just("Order"), rapid.StringN(0, 20, 100)).Draw(t, label+" type"),
		After: events.Status(rapid.IntRange(1, 255).Draw(t, label+" status")),
		Size:  rapid.Int64Range(0, 1<<40).Draw(t, label+" size"), RunFirst: c.Position.Sequence,
	}
	opens := len(c.Back) == 0 || closed != nil || rapid.Bool().Draw(t, label+" opens")
	s.First = 1
	if !opens {
		s.First, s.Before = events.EventID(rapid.Int64Range(2, 1<<40).Draw(t, label+" first")), open.Draw(t, label+" before")
		s.RunFirst = rapid.Uint64Range(1, c.Back[0]).Draw(t, label+" began")
		s.PrevRunFirst = rapid.Uint64Range(0, s.RunFirst).Draw(t, label+" run before began")
	}
	s.Last = s.First + events.EventID(rapid.Int64Range(0, 1<<40).Draw(t, label+" more"))
	switch {
	case closed != nil:
		s.PrevRunFirst = closed.RunFirst
		if s.Run == closed.Run {
			s.Run += "2"
		}
	case opens && len(c.Back) > 0:
		s.PrevRunFirst = rapid.Uint64Range(1, c.Back[0]).Draw(t, label+" run before began")
	}
	return s
}

// message is what a server stores of a commit.
func message(c *events.Commit) events.Message {
	return events.Message{Position: c.Position, Subject: c.Workflow.Subject(), Header: events.EncodeHeader(c), Body: c.Body, Time: c.Time}
}

func TestEnvelopesAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawCommit(t)
		m := message(want)
		got, err := events.Decode(m)
		want.Header = m.Header
		if err != nil {
			t.Fatalf("%v in %q", err, events.EncodeHeader(want))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("written and read (-written +read):\n%s", diff)
		}
		for name, v := range events.EncodeHeader(want) {
			if len(v) != 1 || strings.IndexFunc(v[0], func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
				t.Fatalf("header %s is %q", name, v)
			}
		}
	})
}

// ours are the headers of an envelope, without those that others may add.
func ours(h events.Header) events.Header {
	h = maps.Clone(h)
	maps.DeleteFunc(h, func(name string, _ []string) bool {
		return !strings.HasPrefix(name, "A-") && name != "Annals" && name != "Nats-Expected-Last-Subject-Sequence"
	})
	return h
}

// FuzzDecode: whatever the headers, Decode does not panic, and what it accepts
// is written the same again.
func FuzzDecode(f *testing.F) {
	for _, c := range []events.Commit{
		{ID: "c", Run: events.Segment{Run: "r", First: 1, Last: 2, After: 1, Size: 44, Type: "Order"}},
		{ID: "c", Back: []uint64{9, 4}, Run: events.Segment{Run: "r", First: 3, Last: 3, Before: 1, After: 2, Size: 70, RunFirst: 4, PrevRunFirst: 2}},
		{
			ID: "c", Back: []uint64{9}, Run: events.Segment{Run: "s", First: 1, Last: 1, After: 1, Size: 5, PrevRunFirst: 9},
			Closed: &events.Segment{Run: "r", First: 2, Last: 2, Before: 1, After: 6, Size: 9, RunFirst: 9, Type: "Order"},
		},
		{ID: "c", Kind: events.KindVoid, Back: []uint64{9}, Void: &events.Void{Messages: 1, Last: 11}, Run: events.Segment{Run: "r", First: 3, Last: 2, Before: 2, After: 2, Size: 70, RunFirst: 4}},
		{ID: "c", Kind: events.KindVoid, Void: &events.Void{Messages: 2, Last: 11}},
		{ID: "c", Back: []uint64{9}, Base: &events.ResetBase{Base: events.Base{Run: "r", Event: 4}, Sequence: 7}, Run: events.Segment{Run: "s", First: 5, Last: 5, After: 1, Size: 70, PrevRunFirst: 4}},
	} {
		if c.Kind == 0 {
			c.Kind = events.KindEvents
		}
		h, err := json.Marshal(events.EncodeHeader(&c))
		if err != nil {
			f.Fatal(err)
		}
		f.Add("annals.235.default.order-42", uint64(12), h, []byte("body"))
	}
	f.Fuzz(func(t *testing.T, subject string, seq uint64, header, body []byte) {
		var h events.Header
		if json.Unmarshal(header, &h) != nil {
			return
		}
		c, err := events.Decode(events.Message{Position: events.Position{Sequence: seq}, Subject: subject, Header: h, Body: body})
		if err != nil {
			if !errors.Is(err, events.ErrCorrupt) {
				t.Errorf("error is %v", err)
			}
			return
		}
		if diff := cmp.Diff(ours(h), ours(events.EncodeHeader(c))); diff != "" {
			t.Errorf("accepted and written again (-accepted +written):\n%s", diff)
		}
		if c.Workflow.Subject() != subject {
			t.Errorf("subject %q became %q", subject, c.Workflow.Subject())
		}
		_, _ = c.Segments()
		_ = c.ChainHash(events.Hash{})
		cursor := c.Cursor(events.Identity{LogID: "l", Epoch: 1})
		text, err := cursor.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if err := new(events.Cursor).UnmarshalText(text); err != nil {
			t.Errorf("the cursor of an accepted commit is refused: %v\n%q", err, h)
		}
	})
}

// TestEnvelopesThatAreNone changes one header of a right envelope.
func TestEnvelopesThatAreNone(t *testing.T) {
	right := events.Commit{
		Workflow: events.Workflow{Namespace: "n", ID: "w"}, Position: events.Position{Sequence: 20}, Kind: events.KindEvents, ID: "c",
		Back: []uint64{15, 9}, Run: events.Segment{Run: "r", First: 4, Last: 5, Type: "Order", Before: 1, After: 1, Size: 99, RunFirst: 9, PrevRunFirst: 3},
	}
	two := right
	two.Closed = &events.Segment{Run: "q", First: 4, Last: 5, Type: "Payment", Before: 1, After: 6, Size: 99, RunFirst: 9, PrevRunFirst: 3}
	two.Run = events.Segment{Run: "r", First: 1, Last: 1, Type: "Order", After: 1, Size: 9, RunFirst: 20, PrevRunFirst: 9}
	start := right
	start.Back, start.Run = nil, events.Segment{Run: "r", First: 1, Last: 1, Type: "Order", After: 1, Size: 9, RunFirst: 20}
	void := events.Commit{
		Workflow: right.Workflow, Position: right.Position, Kind: events.KindVoid, ID: "c", Back: right.Back, Void: &events.Void{Messages: 2, Last: 18},
		Run: events.Segment{Run: "r", First: 6, Last: 5, Type: "Order", Before: 2, After: 2, Size: 99, RunFirst: 9, PrevRunFirst: 3}, Body: []byte("a reason"),
	}
	reset := right
	reset.Run = events.Segment{Run: "r", First: 7, Last: 9, Type: "Order", After: 1, Size: 99, RunFirst: 20, PrevRunFirst: 9}
	reset.Base = &events.ResetBase{Base: events.Base{Run: "q", Event: 6}, Sequence: 15, Hash: events.Hash{1}}
	const hash = "AQAAAAAAAAAAAAAAAAAAAA"
	first := events.Commit{Workflow: right.Workflow, Position: right.Position, Kind: events.KindVoid, ID: "c", Void: &events.Void{Messages: 19, Last: 19}}
	for name, c := range map[string]*events.Commit{"right": &right, "two": &two, "start": &start, "void": &void, "void before the first run": &first, "reset": &reset} {
		m := message(c)
		c.Header = m.Header
		if got, err := events.Decode(m); err != nil || !cmp.Equal(got, c) {
			t.Fatalf("the envelope %q is refused: %v\n%s", name, err, cmp.Diff(c, got))
		}
	}
	for _, c := range []struct {
		why   string
		of    *events.Commit
		name  string
		value string // empty: the header is taken away
	}{
		{"no format", &right, "Annals", ""},
		{"a later format", &right, "Annals", "2 events"},
		{"a format written otherwise", &right, "Annals", "01 events"},
		{"no kind", &right, "Annals", "1"},
		{"a reserved kind", &right, "Annals", "1 anchor"},
		{"a void that goes on with events", &right, "Annals", "1 void"},
		{"events that void", &right, "A-Void", "2"},
		{"a void's envelope for events", &void, "Annals", "1 events"},
		{"a void that says not of how many", &void, "A-Void", ""},
		{"a void of nothing", &void, "A-Void", "0"},
		{"a void of more than lie between", &void, "A-Void", "4"},
		{"a void of more than lie before it", &first, "A-Void", "20"},
		{"a void of none but commits", &void, "Nats-Expected-Last-Subject-Sequence", "15"},
		{"a void of itself", &void, "Nats-Expected-Last-Subject-Sequence", "20"},
		{"a void without an expectation", &void, "Nats-Expected-Last-Subject-Sequence", ""},
		{"a base of a run that goes on", &right, "A-Base", "q 3 15 " + hash},
		{"a base of a run that begins with event 1", &two, "A-Base", "q 3 15 " + hash},
		{"a base of nothing before it", &start, "A-Base", "q 3 15 " + hash},
		{"a base of a void", &void, "A-Base", "q 5 15 " + hash},
		{"no base of a run that begins with a later event", &reset, "A-Base", ""},
		{"a base that ends before the run begins", &reset, "A-Base", "q 5 15 " + hash},
		{"a base that is the run itself", &reset, "A-Base", "r 6 15 " + hash},
		{"a base without a run", &reset, "A-Base", " 6 15 " + hash},
		{"a base that lies behind the commit before", &reset, "A-Base", "q 6 16 " + hash},
		{"a base that lies nowhere", &reset, "A-Base", "q 6 0 " + hash},
		{"a base without a hash", &reset, "A-Base", "q 6 15"},
		{"a base with a hash that is cut", &reset, "A-Base", "q 6 15 AQAA"},
		{"a base and more", &reset, "A-Base", "q 6 15 " + hash + " 1"},
		{"a void that closes a run", &void, "A-Closed", "q 4-5 1>6 99 9 3"},
		{"a void with an event", &void, "A-Run", "r 5-5 2>2 99 9 3"},
		{"a void that changes a status", &void, "A-Run", "r 6-5 1>2 99 9 3"},
		{"a void that begins a run", &void, "A-Run", "r 1-0 0>1 99 - 3"},
		{"a void in a run that began later", &void, "A-Run", "r 6-5 2>2 99 16 3"},
		{"a void with a type and no run", &first, "A-Type", "Order"},
		{"a void with a run and no commits", &void, "A-Back", ""},
		{"more behind the kind", &right, "Annals", "1 events x"},
		{"a header of ours that is not known", &right, "A-Later", "x"},
		{"no expectation", &right, "Nats-Expected-Last-Subject-Sequence", ""},
		{"an expectation of another commit", &right, "Nats-Expected-Last-Subject-Sequence", "9"},
		{"an expectation of none", &right, "Nats-Expected-Last-Subject-Sequence", "0"},
		{"no commit id", &right, "A-Commit", ""},
		{"an empty commit id", &right, "A-Commit", "%"},
		{"a commit id with a NUL", &right, "A-Commit", "%00"},
		{"a commit id of two forms", &right, "A-Commit", "%63"},
		{"too long a commit id", &right, "A-Commit", strings.Repeat("c", 256)},
		{"no run", &right, "A-Run", ""},
		{"too few fields", &right, "A-Run", "r 4-5 1>1"},
		{"too many fields", &right, "A-Run", "r 4-5 1>1 99 9 3 1"},
		{"two spaces", &right, "A-Run", "r  4-5 1>1 99 9 3"},
		{"no event ids", &right, "A-Run", "r 4 1>1 99 9 3"},
		{"event ids that fall", &right, "A-Run", "r 5-4 1>1 99 9 3"},
		{"a number with a zero before it", &right, "A-Run", "r 04-5 1>1 99 9 3"},
		{"a negative number", &right, "A-Run", "r 4-5 1>1 -99 9 3"},
		{"a number beyond 63 bits", &right, "A-Run", "r 4-5 1>1 9223372036854775808 9 3"},
		{"no status", &right, "A-Run", "r 4-5 1>0 99 9 3"},
		{"a status that is none", &right, "A-Run", "r 4-5 1>257 99 9 3"},
		{"goes on after it was closed", &right, "A-Run", "r 4-5 2>2 99 9 3"},
		{"begins with a later event", &right, "A-Run", "r 4-5 0>1 99 - 3"},
		{"goes on with event 1", &right, "A-Run", "r 1-5 1>1 99 9 3"},
		{"goes on from nowhere", &right, "A-Run", "r 4-5 1>1 99"},
		{"goes on from itself", &right, "A-Run", "r 4-5 1>1 99 20 3"},
		{"goes on from a dash", &right, "A-Run", "r 4-5 1>1 99 - 3"},
		{"began after the commit before", &right, "A-Run", "r 4-5 1>1 99 16 3"},
		{"began at 0", &right, "A-Run", "r 4-5 1>1 99 0"},
		{"the run before began at 0", &right, "A-Run", "r 4-5 1>1 99 9 0"},
		{"the run before began later", &right, "A-Run", "r 4-5 1>1 99 9 10"},
		{"an escape that is not needed", &right, "A-Run", "%72 4-5 1>1 99 9 3"},
		{"nothing before a run that goes on", &right, "A-Back", ""},
		{"a commit before that is later", &right, "A-Back", "20"},
		{"a distance of 0", &right, "A-Back", "15 0"},
		{"a distance beyond the start", &right, "A-Back", "15 15"},
		{"more before than are named", &right, "A-Back", "15 1 1 1 1 1 1 1 1"},
		{"an empty type", &right, "A-Type", "%"},
		{"a type that is not UTF-8", &right, "A-Type", "%FF"},
		{"no digest", &right, "A-Digest", ""},
		{"a digest that is cut", &right, "A-Digest", "AAAA"},
		{"a digest in another base64", &right, "A-Digest", "AAAAAAAAAAAAAAA="},
		{"no hash", &right, "A-Chain", ""},
		{"a hash with bits that mean nothing", &right, "A-Chain", "AAAAAAAAAAAAAAAAAAAAAB"},
		{"a closed run's type without a closed run", &right, "A-Closed-Type", "x"},
		{"a closed run beside one that goes on", &right, "A-Closed", "q 4-5 1>6 99 9 3"},
		{"a closed run that is open", &two, "A-Closed", "q 4-5 1>1 99 9 3"},
		{"a closed run of the same name", &two, "A-Closed", "r 4-5 1>6 99 9 3"},
		{"a run behind a closed one that says where that began", &two, "A-Run", "r 1-1 0>1 9 - 9"},
		{"a closed run's type that is the run's", &two, "A-Closed-Type", "Order"},
		{"a start with a run before it and no commits", &start, "A-Run", "r 1-1 0>1 9 - 3"},
		{"a start that says nothing of the run before", &start, "A-Run", "r 1-1 0>1 9 -"},
	} {
		m := message(c.of)
		switch c.value {
		case "":
			delete(m.Header, c.name)
		case "%":
			m.Header[c.name] = []string{""}
		default:
			m.Header[c.name] = []string{c.value}
		}
		if got, err := events.Decode(m); !errors.Is(err, events.ErrCorrupt) {
			t.Errorf("%s: %s %q was accepted as %+v, %v", c.why, c.name, c.value, got, err)
		}
		// Each header stands once.
		m = message(c.of)
		if v, ok := m.Header[c.name]; ok {
			m.Header[c.name] = append(slices.Clone(v), v...)
			if _, err := events.Decode(m); !errors.Is(err, events.ErrCorrupt) {
				t.Errorf("%s, twice, was accepted: %v", c.name, err)
			}
		}
	}
}

func TestTraceContextsThatAreNoneAreLeftAside(t *testing.T) {
	c := events.Commit{
		Workflow: events.Workflow{Namespace: "n", ID: "w"}, Position: events.Position{Sequence: 1}, Kind: events.KindEvents, ID: "c",
		Run: events.Segment{Run: "r", First: 1, Last: 1, After: 1, RunFirst: 1},
	}
	const right = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for why, s := range map[string]string{
		"none": "", "cut": right[:54], "longer": right + "-", "capitals": strings.ToUpper(right), "version ff": "ff" + right[2:],
		"no trace": "00-00000000000000000000000000000000-b7ad6b7169203331-01", "no parent": "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"other separators": strings.ReplaceAll(right, "-", "_"), "a line end": right[:54] + "\n",
	} {
		m := message(&c)
		m.Header["traceparent"] = []string{s}
		got, err := events.Decode(m)
		if err != nil || got.Traceparent != "" || events.ValidTraceparent(s) {
			t.Errorf("%s: %q gave %+v, %v", why, s, got, err)
		}
	}
	m := message(&c)
	m.Header["traceparent"] = []string{right}
	if got, err := events.Decode(m); err != nil || got.Traceparent != right || !events.ValidTraceparent(right) {
		t.Errorf("gave %+v, %v", got, err)
	}
}
