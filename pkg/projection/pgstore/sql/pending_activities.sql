-- Activities of a run that are scheduled and not over, with their heartbeats.
SELECT a.scheduled_event_id, a.activity_id, a.activity_type, a.task_queue, a.status, a.scheduled_time,
       coalesce(a.started_event_id, 0) AS started_event_id, a.started_time, a.attempt, a.cancel_requested, a.worker_identity,
       coalesce(a.schedule_to_close_timeout, interval '0') AS schedule_to_close_timeout,
       coalesce(a.schedule_to_start_timeout, interval '0') AS schedule_to_start_timeout,
       coalesce(a.start_to_close_timeout, interval '0')    AS start_to_close_timeout,
       coalesce(a.heartbeat_timeout, interval '0')         AS heartbeat_timeout,
       a.last_failure, coalesce(a.last_failure_causes, '{}') AS last_failure_causes, coalesce(a.maximum_attempts, 0) AS maximum_attempts,
       h.attempt AS heartbeat_attempt, h.time AS heartbeat_time, h.details AS heartbeat_details,
       h.last_failure AS heartbeat_last_failure, h.failure AS heartbeat_failure, h.identity AS heartbeat_identity
FROM annals.activities AS a
LEFT JOIN annals.activity_heartbeats AS h USING (slot, namespace, workflow_id, run_id, activity_id)
WHERE slot = $1 AND namespace = $2 AND workflow_id = $3 AND run_id = $4 AND a.closed_event_id IS NULL
ORDER BY a.scheduled_event_id
