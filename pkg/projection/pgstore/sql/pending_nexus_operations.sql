-- Nexus operations of a run that are scheduled and not over.
SELECT scheduled_event_id, endpoint, service, operation, request_id, coalesce(operation_token, '') AS operation_token, status,
       scheduled_time, coalesce(started_event_id, 0) AS started_event_id, started_time,
       coalesce(schedule_to_close_timeout, interval '0') AS schedule_to_close_timeout,
       coalesce(schedule_to_start_timeout, interval '0') AS schedule_to_start_timeout,
       coalesce(start_to_close_timeout, interval '0')    AS start_to_close_timeout,
       cancel_requested, cancel_requested_time, cancel_delivered, cancel_failure
FROM annals.nexus_operations
WHERE slot = $1 AND namespace = $2 AND workflow_id = $3 AND run_id = $4 AND closed_event_id IS NULL
ORDER BY scheduled_event_id
