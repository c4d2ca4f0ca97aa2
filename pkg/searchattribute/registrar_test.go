package searchattribute_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	"go.uber.org/goleak"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/searchattribute"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	order = events.Workflow{Namespace: "shop", ID: "order-1"}
	quiet = slog.New(slog.DiscardHandler)
)

func newLog(t testing.TB) *memlog.Log {
	t.Helper()
	log, err := memlog.New(memlog.Config{Streams: 2, Now: func() time.Time { return time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// typed is a value that says its type; an empty one is not said.
func typed(typeName, data string) *commonpb.Payload {
	p := &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(data)}
	if typeName != "" {
		p.Metadata["type"] = []byte(typeName)
	}
	return p
}

// sets is an event that sets one attribute.
func sets(name string, p *commonpb.Payload) *events.Event {
	e := events.SearchAttributesUpserted(nil)
	e.GetUpsertWorkflowSearchAttributesEventAttributes().SearchAttributes = &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{name: p}}
	return e
}

func at(sequence uint64) events.Position { return events.Position{Partition: 1, Sequence: sequence} }

func load(t testing.TB, log events.Control) *searchattribute.Registry {
	t.Helper()
	r, err := searchattribute.Load(t.Context(), log, 0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// described is what a registry holds, in short.
func described(r *searchattribute.Registry) []string {
	out := []string{}
	for a := range r.Attributes("") {
		out = append(out, fmt.Sprintf("%s/%s is %s since %d by %s %s", a.Namespace, a.Name, a.TypeName, a.Sequence, a.By, a.Cause))
	}
	for c := range r.Conflicts("") {
		out = append(out, fmt.Sprintf("%s/%s %s: %s, is %s, at %d by %s %s", c.Namespace, c.Name, c.Sort, c.Found, c.TypeName, c.Sequence, c.By, c.Cause))
	}
	return out
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// The first value that says its type registers the attribute, one that says none
// does not, and what does not fit is kept once a sort.
func TestValuesRegisterAndConflictsAreKept(t *testing.T) {
	log := newLog(t)
	r := searchattribute.NewRegistrar(log, "test", quiet)
	meet := func(sequence uint64, name string, p *commonpb.Payload) {
		t.Helper()
		if err := r.Meet(t.Context(), order, at(sequence), sets(name, p)); err != nil {
			t.Fatal(err)
		}
	}
	meet(1, "Amount", typed("", "1"))            // says nothing
	meet(2, "Amount", typed("Nonsense", "1"))    // nor does this
	meet(3, "Amount", typed("Int", "null"))      // deletes
	meet(4, "Amount", typed("Int", "1"))         // registers
	meet(5, "Amount", typed("Int", "2"))         // fits
	meet(6, "Amount", typed("", "3"))            // fits, and says nothing
	meet(7, "Amount", typed("Double", "1.5"))    // says another type
	meet(8, "Amount", typed("Double", "2.5"))    // the same sort
	meet(9, "Amount", typed("", `"much"`))       // is none
	meet(10, "Amount", typed("Nonsense", "1"))   // says a type that is none
	meet(11, "WorkflowId", typed("Keyword", "")) // deletes
	meet(12, "WorkflowId", typed("Keyword", `"x"`))
	meet(13, "TemporalChangeVersion", typed("KeywordList", `["a-1"]`)) // known without
	meet(14, "TemporalChangeVersion", typed("", `7`))
	if err := r.Meet(t.Context(), events.Workflow{Namespace: "other", ID: "w"}, at(15), sets("Amount", typed("INDEXED_VALUE_TYPE_KEYWORD", `"x"`))); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"other/Amount is Keyword since 6 by test 1:15",
		"shop/Amount is Int since 1 by test 1:4",
		"shop/Amount type: Double, is Int, at 2 by test 1:7",
		"shop/Amount type: unknown, is Int, at 4 by test 1:10",
		"shop/Amount value: string, is Int, at 3 by test 1:9",
		"shop/TemporalChangeVersion value: number, is KeywordList, at 5 by test 1:14",
	}
	same(t, "what is registered", want, described(load(t, log)))
	same(t, "what the registrar knows", want, described(r.Registry()))
	same(t, "stats", searchattribute.Stats{Registered: 2, Conflicts: 5, Refused: 1}, r.Stats())

	// A second one that begins anew meets the same, and decides nothing more.
	again := searchattribute.NewRegistrar(log, "another", quiet)
	if err := again.Meet(t.Context(), order, at(7), sets("Amount", typed("Double", "1.5"))); err != nil {
		t.Fatal(err)
	}
	same(t, "what is registered afterwards", want, described(load(t, log)))
	same(t, "stats of the second", searchattribute.Stats{Conflicts: 1}, again.Stats())
}

// Of many who meet a new attribute at once one registers it, and all find the same
// type.
func TestManyRegisterAtOnce(t *testing.T) {
	log := newLog(t)
	const registrars = 16
	var wg sync.WaitGroup
	found := make([]searchattribute.Type, registrars)
	var registered int64
	var mu sync.Mutex
	for i := range registrars {
		r := searchattribute.NewRegistrar(log, fmt.Sprint(i), quiet)
		wg.Go(func() {
			t1 := searchattribute.Types[i%len(searchattribute.Types)]
			for range 2 {
				if err := r.Meet(t.Context(), order, at(uint64(i+1)), sets("Contested", typed(t1.String(), `"2026-01-01T00:00:00Z"`))); err != nil {
					t.Error(err)
				}
			}
			found[i], _ = r.Registry().Type(order.Namespace, "Contested")
			mu.Lock()
			registered += r.Stats().Registered
			mu.Unlock()
		})
	}
	wg.Wait()
	if registered != 1 || len(slices.Compact(found)) != 1 || found[0] == 0 {
		t.Errorf("%d registered it, as %v", registered, found)
	}
}

func TestACommandRegistersOnce(t *testing.T) {
	log := newLog(t)
	r := searchattribute.NewRegistrar(log, "somebody", quiet)
	a, existed, err := r.Register(t.Context(), "shop", "CustomerId", searchattribute.Keyword)
	if err != nil || existed || a.Type != searchattribute.Keyword || a.By != "somebody" || a.Cause != (events.Position{}) {
		t.Errorf("%+v, %t, %v", a, existed, err)
	}
	b, existed, err := searchattribute.NewRegistrar(log, "another", quiet).Register(t.Context(), "shop", "CustomerId", searchattribute.Keyword)
	if err != nil || !existed {
		t.Errorf("again: %t, %v", existed, err)
	}
	same(t, "what is there", a, b)
	_, _, err = r.Register(t.Context(), "shop", "CustomerId", searchattribute.Text)
	var other *searchattribute.RegisteredError
	if !errors.As(err, &other) || !errors.Is(err, events.ErrConflict) || other.Attribute.Type != searchattribute.Keyword {
		t.Errorf("with another type: %v", err)
	}
	for _, name := range []string{"", "WorkflowId", "TemporalChangeVersion", "TemporalOfMine", "a\nb", "a`b", string(make([]byte, 300))} {
		var bad *events.InvalidError
		if _, _, err := r.Register(t.Context(), "shop", name, searchattribute.Text); !errors.As(err, &bad) || bad.Field != "name" {
			t.Errorf("name %.20q: %v", name, err)
		}
	}
	if n := load(t, log).Sequence(); n != 1 {
		t.Errorf("%d decisions are stored", n)
	}
}

// What others wrote into the stream changes no type: another registration is a
// conflict, what is no decision or of an unknown kind is counted, and what is of a
// later version is known not to be known.
func TestTheFoldOfWhatOthersWrote(t *testing.T) {
	log := newLog(t)
	decide := func(topic events.Topic, content string, after uint64) uint64 {
		t.Helper()
		s, _, err := log.Decide(t.Context(), events.Decision{Topic: topic, By: "x", Content: []byte(content)}, after)
		if err != nil {
			t.Fatal(err)
		}
		return s.Sequence
	}
	a := searchattribute.Topic("shop", "A")
	first := decide(a, `{"type":"Int"}`, 0)
	second := decide(a, `{"type":"Int"}`, first)
	third := decide(a, `{"type":"Text"}`, second)
	log.PutDecision(a.Subject(), nil, []byte("no decision"))
	decide(searchattribute.Topic("shop", "Later"), `{"type":"Geo","unheard":1}`, 0)
	decide(searchattribute.Topic("shop", "WorkflowId"), `{"type":"Int"}`, 0)
	decide(events.Topic{Namespace: "shop", Kind: "forgotten", Key: "order-1"}, `{}`, 0)
	decide(events.Topic{Namespace: "shop", Kind: searchattribute.KindConflict, Key: "of.another.name"}, `{"name":"A","sort":"type","found":"Int","type":"Text"}`, 0)
	r := load(t, log)
	same(t, "the registry", []string{
		"shop/A is Int since 1 by x 0:0", "shop/Later is Geo since 5 by x 0:0", fmt.Sprintf("shop/A registration: Text, is Int, at %d by x 0:0", third),
	}, described(r))
	if r.Foreign != 1 || r.Unknown != 3 || r.Last(a) != 4 || r.Sequence() != 8 {
		t.Errorf("foreign %d, unknown %d, last of A %d, sequence %d", r.Foreign, r.Unknown, r.Last(a), r.Sequence())
	}
	if k, ok := r.Type("shop", "Later"); k != 0 || !ok {
		t.Errorf("Later is %v, %t", k, ok)
	}
	// Values of a type of a later version are neither registered nor judged.
	registrar := searchattribute.NewRegistrar(log, "test", quiet)
	if err := registrar.Meet(t.Context(), order, at(1), sets("Later", typed("Int", "1"))); err != nil {
		t.Fatal(err)
	}
	same(t, "stats", searchattribute.Stats{}, registrar.Stats())
	// A registry as it was.
	earlier, err := searchattribute.Load(t.Context(), log, 2)
	if err != nil || earlier.Sequence() != 2 {
		t.Errorf("up to 2: %v, %v", earlier, err)
	}
	if _, err := searchattribute.Load(t.Context(), log, 99); !errors.Is(err, events.ErrWrongLog) {
		t.Errorf("up to 99: %v", err)
	}
}

// A registration whose outcome is unknown is settled by meeting the value again.
func TestALostRegistrationIsMetAgain(t *testing.T) {
	plain := newLog(t)
	for name, apply := range map[string]bool{"message": false, "acknowledgement": true} {
		ctx, cancel := context.WithCancel(t.Context())
		log := plain.Open(memlog.Config{Hook: func(memlog.Op) (bool, error) {
			cancel() // nobody waits for another attempt
			return apply, errors.New("lost")
		}})
		e := sets("Lost"+name, typed("Int", "1"))
		r := searchattribute.NewRegistrar(log, "test", quiet)
		if err := r.Meet(ctx, order, at(1), e); !errors.Is(err, events.ErrOutcomeUnknown) {
			t.Errorf("a lost %s: %v", name, err)
		}
		r = searchattribute.NewRegistrar(plain, "again", quiet)
		if err := r.Meet(t.Context(), order, at(1), e); err != nil {
			t.Error(err)
		}
		a, _ := r.Registry().Attribute(order.Namespace, "Lost"+name)
		if by := map[bool]string{true: "test", false: "again"}[apply]; a.Type != searchattribute.Int || a.By != by {
			t.Errorf("a lost %s: %+v, want one by %s", name, a, by)
		}
	}
}

// Names that a program makes up do not fill the stream.
func TestValuesRegisterSoManyAttributes(t *testing.T) {
	log := newLog(t)
	r := searchattribute.NewRegistrar(log, "test", quiet)
	for i := range searchattribute.MaxAttributes + 2 {
		if err := r.Meet(t.Context(), order, at(1), sets(fmt.Sprint("Made", i), typed("Bool", "true"))); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "stats", searchattribute.Stats{Registered: searchattribute.MaxAttributes, Refused: 2}, r.Stats())
	if _, _, err := r.Register(t.Context(), order.Namespace, "ByCommand", searchattribute.Bool); err != nil {
		t.Error(err)
	}
}

// looked counts how often somebody reads the control stream.
type looked struct {
	events.Control
	looks atomic.Int64
}

func (l *looked) Decisions(ctx context.Context, after uint64) iter.Seq2[events.StoredDecision, error] {
	l.looks.Add(1)
	return l.Control.Decisions(ctx, after)
}

// Values beyond that do not each read the control stream; what a command registers
// is found all the same.
func TestValuesThatRegisterNothingDoNotReadTheStream(t *testing.T) {
	log := newLog(t)
	byCommand := searchattribute.NewRegistrar(log, "command", quiet)
	for i := range searchattribute.MaxAttributes {
		if _, _, err := byCommand.Register(t.Context(), order.Namespace, fmt.Sprint("Made", i), searchattribute.Bool); err != nil {
			t.Fatal(err)
		}
	}
	control := &looked{Control: log}
	r := searchattribute.NewRegistrar(control, "test", quiet)
	const values = 10_000
	meet := func(name string) {
		t.Helper()
		if err := r.Meet(t.Context(), order, at(1), sets(name, typed("Bool", "true"))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range values {
		meet(fmt.Sprint("More", i))
	}
	if n := control.looks.Load(); n > values/10 {
		t.Errorf("%d values that register nothing read the stream %d times", values, n)
	}
	same(t, "stats", searchattribute.Stats{Refused: values}, r.Stats())
	if _, _, err := byCommand.Register(t.Context(), order.Namespace, "More0", searchattribute.Bool); err != nil {
		t.Fatal(err)
	}
	for known := false; !known; {
		meet("More0")
		_, known = r.Registry().Attribute(order.Namespace, "More0")
	}
}

// What sets no attribute, and one that is known, costs no allocation.
func TestMeetingAllocatesNothing(t *testing.T) {
	log := newLog(t)
	r := searchattribute.NewRegistrar(log, "test", quiet)
	started, signal := events.WorkflowStarted("T", "q"), events.Signaled("s")
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		for _, e := range []*events.Event{started, signal} {
			if err := r.Meet(ctx, order, at(1), e); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMeet(b *testing.B) {
	log := newLog(b)
	r := searchattribute.NewRegistrar(log, "test", quiet)
	for name, e := range map[string]*events.Event{"none": events.Signaled("s"), "known": sets("A", typed("Keyword", `"x"`))} {
		b.Run("event="+name, func(b *testing.B) {
			ctx := b.Context()
			if err := r.Meet(ctx, order, at(1), e); err != nil { // registers it
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Meet(ctx, order, at(1), e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
