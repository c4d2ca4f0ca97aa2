-- Where the workflows of a partition end in the tables, in the order of the
-- log; $4 and $5 name one workflow, or are null. Read where a checkpoint does
-- not fit the log, so no index is kept for it.
SELECT namespace, workflow_id, run_id, last_sequence, last_hash
FROM annals.workflows
WHERE slot >= $1 AND slot < $2 AND partition = $3
  AND ($4::text IS NULL OR namespace = $4 AND workflow_id = $5)
ORDER BY last_sequence
