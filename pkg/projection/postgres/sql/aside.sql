-- What of a partition is quarantined.
SELECT partition, subject, coalesce(namespace, ''), coalesce(workflow_id, ''), kind, reason,
       first_sequence, coalesce(good_sequence, 0), good_hash, waiting, last_sequence, since
FROM annals.quarantine
WHERE projection = $1 AND generation = $2 AND partition = $3
