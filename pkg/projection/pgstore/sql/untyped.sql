-- Runs of a namespace ($1) whose values of an attribute ($2) have no type yet.
SELECT slot, workflow_id, run_id, search_attributes -> $2
FROM generation.executions
WHERE namespace = $1 AND untyped_attributes IS NOT NULL AND $2 = ANY (untyped_attributes)
ORDER BY slot, workflow_id, run_id
LIMIT $3
FOR UPDATE
