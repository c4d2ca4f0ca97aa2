-- What is quarantined of a namespace, or is a gap of the stream, within a vector
-- ($3 partitions, $4 sequences): an answer may lack it though the checkpoints
-- include the vector. The last column counts all of it.
WITH found AS (
    SELECT coalesce(q.workflow_id, '') AS workflow_id, q.kind, q.reason, q.partition, q.first_sequence, coalesce(q.good_sequence, 0) AS good_sequence, q.waiting, q.since
    FROM annals.quarantine AS q
    JOIN unnest($3::smallint[], $4::bigint[]) AS v (partition, sequence) ON v.partition = q.partition AND q.first_sequence <= v.sequence
    WHERE q.projection = $1
      AND q.generation = (SELECT generation FROM annals.generations WHERE projection = $1 AND state = 'live')
      AND (q.namespace = $2 OR q.kind = 'gap' AND q.namespace IS NULL)
)
SELECT workflow_id, kind, reason, partition, first_sequence, good_sequence, waiting, since, (SELECT count(*) FROM found)
FROM found
ORDER BY partition, first_sequence
LIMIT $5
