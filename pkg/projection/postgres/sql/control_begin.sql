-- The checkpoint of a control stream that nobody has looked at yet, in place of that
-- of another log or epoch. No row: somebody else has just made it.
INSERT INTO annals.control_checkpoint AS c (log_id, log_epoch, sequence, commit_id)
VALUES ($1, $2, 0, '')
ON CONFLICT (one) DO UPDATE
SET log_id = excluded.log_id, log_epoch = excluded.log_epoch, sequence = 0, commit_id = '', updated_at = clock_timestamp()
WHERE (c.log_id, c.log_epoch) <> (excluded.log_id, excluded.log_epoch)
