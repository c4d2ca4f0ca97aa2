-- A partition's checkpoint, and nothing if its generation was replaced: whoever read
-- it of one that was not is fenced by the swap, which raises its epoch.
SELECT generation, partition, log_id, log_epoch, epoch, sequence, commit_hash, commit_time
FROM annals.checkpoints JOIN annals.generations USING (projection, generation)
WHERE projection = $1 AND generation = $2 AND partition = $3 AND state <> 'retired'
