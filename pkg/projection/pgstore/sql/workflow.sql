-- The newest run of a workflow, and how many there were.
SELECT run_id AS newest_run_id, runs
FROM annals.workflows
WHERE slot = $1 AND namespace = $2 AND workflow_id = $3
