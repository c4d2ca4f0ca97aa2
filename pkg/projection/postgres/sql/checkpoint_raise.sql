-- The compare-and-set that sets a subject aside: it fences whoever projects, and
-- moves the checkpoint past the message that is to blame.
UPDATE annals.checkpoints
SET epoch = annals.next_epoch(epoch), sequence = $8, updated_at = clock_timestamp(),
    commit_hash = CASE WHEN $8 = sequence THEN commit_hash ELSE $9 END,
    commit_time = CASE WHEN $8 = sequence THEN commit_time ELSE $10 END
WHERE projection = $1 AND generation = $2 AND partition = $3
  AND log_id = $4 AND log_epoch = $5 AND epoch = $6 AND sequence = $7
