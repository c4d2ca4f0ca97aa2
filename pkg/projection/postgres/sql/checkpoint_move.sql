-- The compare-and-set that makes a batch happen once: no row means that the
-- checkpoint is not where the batch began.
UPDATE annals.checkpoints
SET sequence = $8, commit_hash = $9, commit_time = $10, updated_at = clock_timestamp()
WHERE projection = $1 AND generation = $2 AND partition = $3
  AND log_id = $4 AND log_epoch = $5 AND epoch = $6 AND sequence = $7
