-- The compare-and-set that makes a batch happen once: no row means that the
-- checkpoint is not where the batch began.
UPDATE annals.checkpoints
SET sequence = $7, commit_hash = $8, commit_time = $9, updated_at = clock_timestamp()
WHERE projection = $1 AND partition = $2
  AND log_id = $3 AND log_epoch = $4 AND epoch = $5 AND sequence = $6
