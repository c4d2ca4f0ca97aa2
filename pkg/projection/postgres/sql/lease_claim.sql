-- Takes those of the named leases that are free. A partition's is taken together
-- with its live checkpoint, whose epoch is raised: who had it is fenced. Rows that
-- somebody has locked are skipped.
WITH wanted AS (
    SELECT * FROM unnest($2::text[], $3::smallint[]) AS w (lease, partition)
), free AS MATERIALIZED (
    SELECT l.lease, w.partition
    FROM annals.leases AS l JOIN wanted AS w ON w.lease = l.lease
    WHERE l.projection = $1 AND l.expires_at <= clock_timestamp()
    ORDER BY l.lease
    FOR UPDATE OF l SKIP LOCKED
), live AS MATERIALIZED (
    SELECT generation FROM annals.generations WHERE projection = $1 AND state = 'live'
), locked AS MATERIALIZED (
    SELECT c.generation, c.partition
    FROM annals.checkpoints AS c
    WHERE c.projection = $1 AND c.generation = (SELECT generation FROM live) AND c.partition IN (SELECT partition FROM free)
    ORDER BY c.partition
    FOR NO KEY UPDATE SKIP LOCKED
), raised AS (
    UPDATE annals.checkpoints AS c SET epoch = annals.next_epoch(c.epoch)
    FROM locked AS k
    WHERE c.projection = $1 AND c.generation = k.generation AND c.partition = k.partition
    RETURNING c.partition
)
UPDATE annals.leases AS l
SET holder = $4, host = $5, pid = $6, session = $7, phase = NULL, reason = NULL,
    taken_at = clock_timestamp(), expires_at = clock_timestamp() + $8::interval
FROM free AS f
WHERE l.projection = $1 AND l.lease = f.lease
  AND (f.partition IS NULL OR f.partition IN (SELECT partition FROM raised)
       OR NOT EXISTS (SELECT FROM annals.checkpoints AS c
                      WHERE c.projection = $1 AND c.generation = (SELECT generation FROM live) AND c.partition = f.partition))
RETURNING l.lease
