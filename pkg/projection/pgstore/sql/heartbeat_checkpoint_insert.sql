-- The checkpoint of a log whose heartbeats nobody has looked at yet.
INSERT INTO annals.heartbeat_checkpoints (log_id, log_epoch, sequence)
VALUES ($1, $2, 0)
ON CONFLICT DO NOTHING
