-- A subject is set aside.
INSERT INTO annals.quarantine AS q (projection, generation, partition, subject, namespace, workflow_id, kind, reason,
       first_sequence, good_sequence, good_hash, waiting, last_sequence)
VALUES ($1, $2, $3, $4, nullif($5, ''), nullif($6, ''), $7, $8, $9, nullif($10::bigint, 0), $11, $12, $13)
ON CONFLICT (projection, generation, partition, subject) DO UPDATE
SET waiting = q.waiting + excluded.waiting, last_sequence = greatest(q.last_sequence, excluded.last_sequence)
