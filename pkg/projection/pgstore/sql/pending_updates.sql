-- Updates of a run that are admitted or accepted and not over.
SELECT event_id, update_id, update_name, status, identity, admitted_time,
       coalesce(accepted_event_id, 0) AS accepted_event_id, accepted_time, coalesce(request_ids, '{}') AS request_ids
FROM annals.updates
WHERE slot = $1 AND namespace = $2 AND workflow_id = $3 AND run_id = $4 AND closed_event_id IS NULL
ORDER BY event_id
