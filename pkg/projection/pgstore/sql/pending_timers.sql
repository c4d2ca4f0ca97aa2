-- Timers of a run that are started and not over.
SELECT started_event_id, timer_id, started_time, fire_time
FROM annals.timers
WHERE slot = $1 AND namespace = $2 AND workflow_id = $3 AND run_id = $4 AND closed_event_id IS NULL
ORDER BY started_event_id
