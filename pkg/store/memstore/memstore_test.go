package memstore_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/store"
	"github.com/annals-io/annals/pkg/store/memstore"
)

func TestConfig(t *testing.T) {
	_, err := memstore.New(memstore.Config{Wait: -1})
	var e *events.InvalidError
	if !errors.As(err, &e) || e.Field != "wait" {
		t.Errorf("a negative wait: %v", err)
	}
	s, err := memstore.New(memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := events.Workflow{Namespace: "n", ID: "w"}
	if _, err := s.SaveExecution(t.Context(), store.NewExecution{Workflow: w, Type: "T"}); err != nil {
		t.Errorf("on a log of its own: %v", err)
	}
	another, err := memstore.New(memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := another.LoadExecution(t.Context(), w, ""); !errors.Is(err, events.ErrNotFound) {
		t.Errorf("two stores share what neither was given: %v", err)
	}
}

// TestSetAside: a message that is no commit sets its workflow aside, as a projector
// quarantines it: answers say so. All others go on, and so does it once the
// message is void.
func TestSetAside(t *testing.T) {
	log, err := memlog.New(memlog.Config{Streams: 2})
	if err != nil {
		t.Fatal(err)
	}
	of := map[events.Partition]events.Workflow{}
	for i := 0; len(of) < 2; i++ {
		w := events.Workflow{Namespace: "n", ID: string(rune('a' + i))}
		of[log.Partition(w)] = w
	}
	open := func() *memstore.Store {
		s, err := memstore.New(memstore.Config{Log: log})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	save := func(s *memstore.Store, w events.Workflow) events.Result {
		res, err := s.SaveExecution(t.Context(), store.NewExecution{Workflow: w, Type: "T"})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	save(s, of[0])
	log.Put(0, of[0].Subject(), nil, []byte("?"))
	log.Put(0, "annals.9999.n.w", nil, []byte("?")) // no workflow's
	quarantined := func(want ...events.Workflow) {
		t.Helper()
		for _, s := range []*memstore.Store{s, open()} {
			list, err := s.Query(t.Context(), store.Query{Namespace: "n"})
			if err != nil {
				t.Fatal(err)
			}
			var got []events.Workflow
			for _, x := range list {
				if x.Quarantined {
					got = append(got, x.Workflow)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("quarantined: %v, want %v", got, want)
			}
		}
	}
	quarantined(of[0])
	save(s, of[1])
	if list, err := s.Query(t.Context(), store.Query{Namespace: "n"}); err != nil || len(list) != 2 {
		t.Errorf("the others do not go on: %v, %v", list, err)
	}
	log.Put(0, of[0].Subject(), nil, []byte("another"))
	quarantined(of[0])
	if _, err := log.Void(t.Context(), events.VoidRequest{Workflow: of[0]}); err != nil {
		t.Fatal(err)
	}
	quarantined()
	if _, err := s.AppendEvents(t.Context(), events.Request{Workflow: of[0], Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("s")}}); err != nil {
		t.Fatal(err)
	}
	list, err := s.Query(t.Context(), store.Query{Namespace: "n"})
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, x := range list {
		if want := map[events.Workflow]int64{of[0]: 2, of[1]: 1}[x.Workflow]; x.HistoryLength != want {
			t.Errorf("%s has %d events, want %d", x.Workflow, x.HistoryLength, want)
		}
	}
}

// TestWaits: a query waits for a position that the log does not have yet, and
// no longer than until it has it.
func TestWaits(t *testing.T) {
	log, err := memlog.New(memlog.Config{Streams: 1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := memstore.New(memstore.Config{Log: log, Wait: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	found := make(chan int, 1)
	go func() {
		list, err := s.Query(context.WithoutCancel(t.Context()), store.Query{Namespace: "n", After: events.VectorOf(events.Position{Sequence: 2})})
		if err != nil {
			t.Error(err)
		}
		found <- len(list)
	}()
	for _, id := range []string{"a", "b"} {
		select {
		case n := <-found:
			t.Fatalf("answered with %d before it was there", n)
		default:
		}
		if _, err := s.SaveExecution(t.Context(), store.NewExecution{Workflow: events.Workflow{Namespace: "n", ID: id}, Type: "T"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := <-found; n != 2 {
		t.Errorf("answered with %d", n)
	}
}
