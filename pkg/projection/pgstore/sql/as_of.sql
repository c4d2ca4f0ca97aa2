-- How far the tables are in the partition of a workflow, as this transaction sees
-- them.
SELECT c.generation, c.partition, c.log_id, c.log_epoch, c.epoch, c.sequence, c.commit_hash, c.commit_time
FROM annals.workflows AS w
JOIN annals.checkpoints AS c ON c.partition = w.partition
JOIN annals.generations AS g USING (projection, generation)
WHERE w.slot = $1 AND w.namespace = $2 AND w.workflow_id = $3 AND projection = 'executions' AND g.state = 'live'
