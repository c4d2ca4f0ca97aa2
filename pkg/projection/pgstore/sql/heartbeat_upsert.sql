-- Keeps heartbeats, at most one an activity. A row gives way to one that is as
-- new or newer, by attempt and then by time, and to any if it came from another
-- log.
INSERT INTO annals.activity_heartbeats AS h (
    slot, namespace, workflow_id, run_id, activity_id, attempt, time, details, last_failure, failure, identity, sequence, log_id, log_epoch
)
SELECT u.slot, u.namespace, u.workflow_id, u.run_id, u.activity_id, u.attempt, u.time, u.details::jsonb, u.last_failure, u.failure::jsonb, u.identity, u.sequence, $13, $14
FROM unnest(
    $1::smallint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::timestamptz[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bigint[]
) AS u (slot, namespace, workflow_id, run_id, activity_id, attempt, time, details, last_failure, failure, identity, sequence)
ON CONFLICT (slot, namespace, workflow_id, run_id, activity_id) DO UPDATE
SET attempt = excluded.attempt, time = excluded.time, details = excluded.details, last_failure = excluded.last_failure,
    failure = excluded.failure, identity = excluded.identity, sequence = excluded.sequence, log_id = excluded.log_id, log_epoch = excluded.log_epoch
WHERE (excluded.attempt, excluded.time) >= (h.attempt, h.time) OR excluded.log_id <> h.log_id
