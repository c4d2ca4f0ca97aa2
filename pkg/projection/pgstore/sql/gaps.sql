-- The gaps of the partition of a workflow, as this transaction sees them: any of the
-- messages that are gone may have been its.
SELECT q.partition, q.subject, '', '', q.kind, q.reason,
       q.first_sequence, coalesce(q.good_sequence, 0), q.good_hash, q.waiting, q.last_sequence, q.since
FROM annals.workflows AS w
JOIN annals.quarantine AS q ON q.partition = w.partition
JOIN annals.generations AS g USING (projection, generation)
WHERE w.slot = $1 AND w.namespace = $2 AND w.workflow_id = $3 AND projection = 'executions' AND g.state = 'live'
  AND q.kind = 'gap' AND q.workflow_id IS NULL
ORDER BY q.first_sequence
LIMIT $4
