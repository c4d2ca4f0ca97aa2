-- Heartbeats of these activities.
SELECT h.namespace, h.workflow_id, h.run_id, h.activity_id, h.attempt, h.time, h.details::text AS details, h.last_failure,
       h.failure::text AS failure, h.identity, h.log_id, h.log_epoch, h.sequence
FROM annals.activity_heartbeats AS h
JOIN unnest($1::smallint[], $2::text[], $3::text[], $4::text[], $5::text[]) AS u (slot, namespace, workflow_id, run_id, activity_id)
  ON (h.slot, h.namespace, h.workflow_id, h.run_id, h.activity_id) = (u.slot, u.namespace, u.workflow_id, u.run_id, u.activity_id)
