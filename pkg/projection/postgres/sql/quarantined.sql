-- What is quarantined, by partition and place: of the live generation if $2 is
-- 0; of a workflow if $3 and $4 are given; behind a place ($5, $6); what begins
-- within a vector, if $8 (partitions) and $9 (sequences) are given; of a namespace
-- ($10), with the gaps of the log, which may be any's. The last column counts all
-- of it.
WITH found AS (
    SELECT * FROM annals.quarantine AS q
    WHERE projection = $1
      AND generation = CASE WHEN $2 > 0 THEN $2 ELSE
          (SELECT generation FROM annals.generations WHERE projection = $1 AND state = 'live') END
      AND ($3::text IS NULL OR namespace = $3 AND workflow_id = $4)
      AND ($8::smallint[] IS NULL OR EXISTS (
          SELECT FROM unnest($8, $9::bigint[]) AS v (partition, sequence)
          WHERE v.partition = q.partition AND q.first_sequence <= v.sequence))
      AND ($10::text IS NULL OR namespace = $10 OR namespace IS NULL AND kind = 'gap')
)
SELECT partition, subject, coalesce(namespace, ''), coalesce(workflow_id, ''), kind, reason,
       first_sequence, coalesce(good_sequence, 0), good_hash, waiting, last_sequence, since,
       (SELECT count(*) FROM found)
FROM found
WHERE (partition, first_sequence) > ($5, $6)
ORDER BY partition, first_sequence, subject
LIMIT $7
