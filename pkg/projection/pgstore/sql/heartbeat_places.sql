-- Where the heartbeats came from: of all workflows, or of one.
SELECT namespace, workflow_id, run_id, activity_id, log_id, log_epoch, sequence
FROM annals.activity_heartbeats
WHERE $1::smallint IS NULL OR (slot, namespace, workflow_id) = ($1, $2, $3)
