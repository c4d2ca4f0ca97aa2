-- The compare-and-set that makes a batch happen once, or several batches that share a
-- transaction: it fails with AN001 unless each of the checkpoints is where its batch
-- began.
WITH moved AS (
    UPDATE annals.checkpoints AS c
    SET sequence = m.next, commit_hash = m.commit_hash, commit_time = m.commit_time, updated_at = clock_timestamp()
    FROM unnest($2::integer[], $3::smallint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bytea[], $10::timestamptz[])
        AS m (generation, partition, log_id, log_epoch, epoch, sequence, next, commit_hash, commit_time)
    WHERE c.projection = $1
      AND (c.generation, c.partition, c.log_id, c.log_epoch, c.epoch, c.sequence) = (m.generation, m.partition, m.log_id, m.log_epoch, m.epoch, m.sequence)
    RETURNING 1
)
SELECT annals.moved(CASE (SELECT count(*) FROM moved) WHEN cardinality($3::smallint[]) THEN 1 ELSE 0 END)
