-- Notes that somebody has looked at an entry of no workflow.
INSERT INTO annals.acknowledged AS a (projection, log_id, log_epoch, partition, subject, kind, first_sequence, last_sequence)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (projection, log_id, log_epoch, partition, subject) DO UPDATE
SET first_sequence = least(a.first_sequence, excluded.first_sequence), last_sequence = greatest(a.last_sequence, excluded.last_sequence),
    acknowledged_at = clock_timestamp()
