-- The checkpoints of a generation, as they stay until the transaction ends: whoever
-- would move one waits, and finds its epoch raised if this one commits.
SELECT generation, partition, log_id, log_epoch, epoch, sequence, commit_hash, commit_time
FROM annals.checkpoints
WHERE projection = $1 AND generation = $2
ORDER BY partition
FOR UPDATE
