package memstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
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

// TestStopped: a message that is no commit stops its partition, as it stops a
// projector's. What was written after it is then in no answer, and the query
// says so at once; the other partitions go on.
func TestStopped(t *testing.T) {
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
	log.Put(0, events.Workflow{Namespace: "n", ID: "foreign"}.Subject(), nil, []byte("?"))
	if list, err := s.Query(t.Context(), store.Query{Namespace: "n"}); err != nil || len(list) != 1 {
		t.Errorf("what was before it: %v, %v", list, err)
	}
	other := open()
	save(other, of[1])
	if list, err := other.Query(t.Context(), store.Query{Namespace: "n"}); err != nil || len(list) != 2 {
		t.Errorf("of the other partition: %v, %v", list, err)
	}
	res, err := s.AppendEvents(t.Context(), events.Request{Workflow: of[0], Expect: events.AtEnd(), Events: []*events.Event{events.Signaled("s")}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Query(t.Context(), store.Query{Namespace: "n"})
	var behind *store.BehindError
	if !errors.Is(err, store.ErrBehind) || !errors.Is(err, projection.ErrCannotApply) || !errors.As(err, &behind) {
		t.Fatalf("what was after it: %v", err)
	}
	if len(behind.Behind) != 1 || behind.Behind[0] != (store.Behind{Wanted: res.Position, Reached: 1}) {
		t.Errorf("behind: %+v", behind)
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
