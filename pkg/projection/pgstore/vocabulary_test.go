package pgstore_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// An attribute is found as soon as it is registered, by a store that has just
// refused it, in the filter, the order and the groups; another namespace's never is.
func TestQueriesLookAgainBeforeTheyRefuse(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	stage := newStage(t, pool)
	run := &knownRun{workflow: "a", run: "1", status: "Running", length: 1, size: 1, attributes: map[string]any{"Customer": "Inki"}}
	stage.play(t, "default", run)
	ask := func(namespace string) []error {
		list := func(q pgstore.ListQuery) error {
			q.Namespace = namespace
			page, err := s.List(t.Context(), q)
			if err == nil && !cmp.Equal(ids(page), []string{"a/1"}) {
				t.Errorf("%+v lists %v", q, ids(page))
			}
			return err
		}
		_, counted := s.Count(t.Context(), pgstore.CountQuery{Namespace: namespace, GroupBy: []string{"Customer"}})
		return []error{list(pgstore.ListQuery{Query: "Customer = 'Inki'"}), list(pgstore.ListQuery{OrderBy: "Customer"}), counted}
	}
	for _, err := range ask("default") {
		if !errors.Is(err, events.ErrInvalid) {
			t.Errorf("before it is registered: %v, want ErrInvalid", err)
		}
	}
	stage.register(t, "default")
	for _, err := range ask("default") {
		if err != nil {
			t.Errorf("once it is registered: %v", err)
		}
	}
	for _, err := range ask("other") {
		if !errors.Is(err, events.ErrInvalid) {
			t.Errorf("in another namespace: %v, want ErrInvalid", err)
		}
	}
}

// More groups than an answer should have are refused.
func TestCountBoundsItsGroups(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	fillForPlans(t, pool)
	_, err := s.Count(t.Context(), pgstore.CountQuery{Namespace: "default", GroupBy: []string{"WorkflowId"}})
	var e *events.InvalidError
	if !errors.As(err, &e) || e.Field != "groupBy" {
		t.Errorf("got %v, want an *events.InvalidError of groupBy", err)
	}
}
