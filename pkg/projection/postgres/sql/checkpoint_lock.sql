-- A partition's checkpoint, which moves no more until the transaction ends.
SELECT generation, partition, log_id, log_epoch, epoch, sequence, commit_hash, commit_time
FROM annals.checkpoints
WHERE projection = $1 AND generation = $2 AND partition = $3
FOR UPDATE
