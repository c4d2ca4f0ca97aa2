-- All checkpoints of a projection.
SELECT partition, log_id, log_epoch, epoch, sequence, commit_hash, commit_time
FROM annals.checkpoints
WHERE projection = $1
ORDER BY partition
