-- The compare-and-set by which one of two followers writes: no row means that the
-- checkpoint is not where the batch began.
UPDATE annals.control_checkpoint
SET sequence = $4, commit_id = $5, updated_at = clock_timestamp()
WHERE log_id = $1 AND log_epoch = $2 AND sequence = $3
