-- Signals and cancel requests that a run sent and of which it does not know yet
-- whether they arrived.
SELECT initiated_event_id, kind, coalesce(nullif(target_namespace, ''), namespace) AS target_namespace, target_workflow_id,
       coalesce(target_run_id, '') AS target_run_id, coalesce(signal_name, '') AS signal_name, coalesce(reason, '') AS reason,
       child_workflow_only, initiated_time
FROM annals.external_requests
WHERE slot = $1 AND namespace = $2 AND workflow_id = $3 AND run_id = $4 AND closed_event_id IS NULL
ORDER BY initiated_event_id
