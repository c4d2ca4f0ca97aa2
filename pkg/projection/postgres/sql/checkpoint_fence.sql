-- Whoever projects begins again, as rows were changed beside it. $4 is the hash of
-- what the log has at the checkpoint.
UPDATE annals.checkpoints
SET epoch = annals.next_epoch(epoch), commit_hash = coalesce($4, commit_hash), updated_at = clock_timestamp()
WHERE projection = $1 AND generation = $2 AND partition = $3
RETURNING epoch
