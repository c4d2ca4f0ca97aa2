-- How far the heartbeats of a log are kept.
SELECT sequence
FROM annals.heartbeat_checkpoints
WHERE log_id = $1 AND log_epoch = $2
