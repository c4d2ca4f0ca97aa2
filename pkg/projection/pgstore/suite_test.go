package pgstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/projectiontest"
)

// The tables of executions pass the suite that is for projections of users.
func TestSuite(t *testing.T) {
	t.Parallel()
	projectiontest.Run(t, projectiontest.Subject{
		Open: func(t *testing.T) projectiontest.Tables {
			t.Helper()
			pool := newTables(t)
			store := storeOn(t, pool, pgstore.Config{})
			return projectiontest.Tables{
				Target: store,
				Dump:   func(context.Context) ([]string, error) { return rowsOf(t, pool), nil },
				Rebuild: func(ctx context.Context, source events.Source) error {
					_, err := store.Rebuild(ctx, source, quietly())
					return err
				},
				Heal: func(ctx context.Context, log events.Log, w events.Workflow) error {
					_, err := store.Heal(ctx, log, w)
					return err
				},
			}
		},
		Histories: []projectiontest.History{
			{
				{events.WorkflowStarted("Order", "orders", 7), events.WorkflowTaskScheduled("orders"), events.WorkflowTaskStarted(2, "w")},
				{events.WorkflowTaskCompleted(2, 3, "w"), events.ActivityScheduled("a", "Pack"), events.TimerStarted("t", time.Hour)},
				{events.ActivityStarted(5, 1, "w"), events.ActivityFailed(5, 7, errors.New("no paper")), events.TimerFired("t", 6)},
				{events.WorkflowCompleted("shipped")},
			},
			{
				{events.WorkflowStarted("Subscription", "orders"), events.ActivityScheduled("a", "Charge"), events.TimerStarted("t", time.Hour)},
				{events.MemoUpserted(map[string]any{"plan": "small"}), events.WorkflowPaused("holiday"), events.Custom("Paid", 1)},
			},
		},
		Rounds: 1,
	})
}
