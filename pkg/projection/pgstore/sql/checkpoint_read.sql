-- A partition's checkpoint.
SELECT partition, log_id, log_epoch, epoch, sequence, commit_hash, commit_time
FROM annals.checkpoints
WHERE projection = $1 AND partition = $2
