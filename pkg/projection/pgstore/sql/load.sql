-- Where the fold of these workflows left off: the end of each one's log, and
-- the state of its newest run if that is open. OFFSET keeps Postgres from looking for
-- executions first, of which a workflow may have many.
SELECT w.namespace, w.workflow_id, w.run_id, w.runs, w.first_sequence, w.last_sequence, w.last_hash,
       e.run_no, e.first_sequence, e.state
FROM (SELECT w.* FROM unnest($1::smallint[], $2::text[], $3::text[]) AS k (slot, namespace, workflow_id)
      JOIN generation.workflows AS w USING (slot, namespace, workflow_id) OFFSET 0) AS w
JOIN generation.executions AS e ON (e.slot, e.namespace, e.workflow_id, e.run_id) = (w.slot, w.namespace, w.workflow_id, w.run_id)
