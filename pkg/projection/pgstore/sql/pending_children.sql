-- Children of a run that are initiated and not over.
SELECT initiated_event_id, coalesce(nullif(child_namespace, ''), namespace) AS child_namespace,
       child_workflow_id, coalesce(child_run_id, '') AS child_run_id, child_type,
       task_queue, parent_close_policy, status, initiated_time,
       coalesce(started_event_id, 0) AS started_event_id, started_time
FROM annals.children
WHERE slot = $1 AND namespace = $2 AND workflow_id = $3 AND run_id = $4 AND closed_event_id IS NULL
ORDER BY initiated_event_id
