package historytest

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Stored asks the tables what Facts counts in the log. Numbers of events come from
// the rows of events, pending ones from the rows of what is pending: a run is left
// out where the columns of executions that say the same do not agree.
func Stored(ctx context.Context, q Querier) ([]Run, error) {
	rows, err := q.Query(ctx, `
		WITH ev AS (
			SELECT slot, namespace, workflow_id, run_id, count(*) AS n, min(event_id) AS lowest, max(event_id) AS highest,
			       count(*) FILTER (WHERE type = 'WorkflowExecutionSignaled') AS signals,
			       min(sequence) AS first, max(sequence) AS last, count(DISTINCT partition) AS partitions
			FROM annals.events GROUP BY 1, 2, 3, 4),
		types AS (
			SELECT slot, namespace, workflow_id, run_id, jsonb_object_agg(type, n) AS types
			FROM (SELECT slot, namespace, workflow_id, run_id, lower(type) AS type, count(*) AS n FROM annals.events GROUP BY 1, 2, 3, 4, 5) AS t GROUP BY 1, 2, 3, 4),
		names AS (
			SELECT slot, namespace, workflow_id, run_id, jsonb_object_agg(name, n) AS names
			FROM (SELECT slot, namespace, workflow_id, run_id, name, count(*) AS n FROM annals.events
				WHERE name <> '' AND type IN ('WorkflowExecutionStarted', 'WorkflowExecutionSignaled', 'MarkerRecorded', 'ActivityTaskScheduled', 'TimerStarted')
				GROUP BY 1, 2, 3, 4, 5) AS t GROUP BY 1, 2, 3, 4)
		SELECT e.namespace, e.workflow_id, e.run_id, e.workflow_type AS type, e.task_queue, e.status,
		       e.start_time AS start, e.close_time AS close, e.history_length AS events, e.signals, e.unknown_events AS unknown, e.history_size_bytes AS bytes,
		       a.all AS activities, ti.all AS timers, c.all AS children,
		       ne.all AS nexus, up.all AS updates, ex.all AS external,
		       a.pending AS pending_activities, ti.pending AS pending_timers, c.pending AS pending_children,
		       ne.pending AS pending_nexus, up.pending AS pending_updates, ex.pending AS pending_external,
		       ev.first, ev.last, w.run_id = e.run_id AS newest, w.runs,
		       ev.n AS stored, types.types, coalesce(names.names, '{}') AS names
		FROM annals.executions AS e
		JOIN ev USING (slot, namespace, workflow_id, run_id)
		JOIN types USING (slot, namespace, workflow_id, run_id)
		LEFT JOIN names USING (slot, namespace, workflow_id, run_id)
		JOIN annals.workflows AS w USING (slot, namespace, workflow_id)
		CROSS JOIN LATERAL (SELECT count(*) AS all, count(*) FILTER (WHERE status IN ('Scheduled', 'Started')) AS pending FROM annals.activities AS x
			WHERE (x.slot, x.namespace, x.workflow_id, x.run_id) = (e.slot, e.namespace, e.workflow_id, e.run_id)) AS a
		CROSS JOIN LATERAL (SELECT count(*) AS all, count(*) FILTER (WHERE status = 'Started') AS pending FROM annals.timers AS x
			WHERE (x.slot, x.namespace, x.workflow_id, x.run_id) = (e.slot, e.namespace, e.workflow_id, e.run_id)) AS ti
		CROSS JOIN LATERAL (SELECT count(*) AS all, count(*) FILTER (WHERE status IN ('Initiated', 'Started')) AS pending FROM annals.children AS x
			WHERE (x.slot, x.namespace, x.workflow_id, x.run_id) = (e.slot, e.namespace, e.workflow_id, e.run_id)) AS c
		CROSS JOIN LATERAL (SELECT count(*) AS all, count(*) FILTER (WHERE closed_event_id IS NULL) AS pending FROM annals.nexus_operations AS x
			WHERE (x.slot, x.namespace, x.workflow_id, x.run_id) = (e.slot, e.namespace, e.workflow_id, e.run_id)) AS ne
		CROSS JOIN LATERAL (SELECT count(*) AS all, count(*) FILTER (WHERE closed_event_id IS NULL) AS pending FROM annals.updates AS x
			WHERE (x.slot, x.namespace, x.workflow_id, x.run_id) = (e.slot, e.namespace, e.workflow_id, e.run_id)) AS up
		CROSS JOIN LATERAL (SELECT count(*) AS all, count(*) FILTER (WHERE closed_event_id IS NULL) AS pending FROM annals.external_requests AS x
			WHERE (x.slot, x.namespace, x.workflow_id, x.run_id) = (e.slot, e.namespace, e.workflow_id, e.run_id)) AS ex
		CROSS JOIN LATERAL (SELECT count(*) AS all FROM annals.signals AS x
			WHERE (x.slot, x.namespace, x.workflow_id, x.run_id) = (e.slot, e.namespace, e.workflow_id, e.run_id)) AS si
		WHERE (e.history_length, ev.n, e.first_sequence, e.last_sequence, 1)
		    = (ev.highest, ev.highest - ev.lowest + 1, ev.first, ev.last, ev.partitions)
		  AND CASE WHEN ev.lowest = 1 THEN e.signals = ev.signals ELSE e.signals >= ev.signals END -- where it is no reset
		  AND (e.pending_activities, e.pending_timers, e.pending_children) = (a.pending, ti.pending, c.pending)
		  AND (e.pending_nexus_operations, e.pending_updates, e.signals) = (ne.pending, up.pending, si.all)
		  AND w.last_sequence >= e.last_sequence AND w.first_sequence <= e.first_sequence`)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Run])
	if err != nil {
		return nil, err
	}
	for i := range list {
		r := &list[i]
		if r.Start != nil {
			*r.Start = r.Start.UTC()
		}
		if r.Close != nil {
			*r.Close = r.Close.UTC()
		}
	}
	return list, nil
}

// ByRun are runs by namespace, workflow id and run id.
func ByRun(list []Run) map[[3]string]Run {
	out := map[[3]string]Run{}
	for _, r := range list {
		out[[3]string{r.Namespace, r.WorkflowID, r.RunID}] = r
	}
	return out
}
