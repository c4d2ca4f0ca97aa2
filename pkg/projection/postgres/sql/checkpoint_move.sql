-- The compare-and-set that makes a batch happen once: it fails with AN001 if the
-- checkpoint is not where the batch began.
WITH moved AS (
    UPDATE annals.checkpoints
    SET sequence = $8, commit_hash = $9, commit_time = $10, updated_at = clock_timestamp()
    WHERE projection = $1 AND generation = $2 AND partition = $3
      AND log_id = $4 AND log_epoch = $5 AND epoch = $6 AND sequence = $7
    RETURNING 1
)
SELECT annals.moved((SELECT count(*) FROM moved))
