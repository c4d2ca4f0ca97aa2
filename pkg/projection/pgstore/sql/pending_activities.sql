-- Activities of a run that are scheduled and not over.
SELECT scheduled_event_id, activity_id, activity_type, task_queue, status, scheduled_time,
       coalesce(started_event_id, 0) AS started_event_id, started_time, attempt, cancel_requested, worker_identity,
       coalesce(schedule_to_close_timeout, interval '0') AS schedule_to_close_timeout,
       coalesce(schedule_to_start_timeout, interval '0') AS schedule_to_start_timeout,
       coalesce(start_to_close_timeout, interval '0')    AS start_to_close_timeout,
       coalesce(heartbeat_timeout, interval '0')         AS heartbeat_timeout,
       last_failure
FROM annals.activities
WHERE slot = $1 AND namespace = $2 AND workflow_id = $3 AND run_id = $4 AND closed_event_id IS NULL
ORDER BY scheduled_event_id
