-- The checkpoint of a partition that nothing was projected from yet.
INSERT INTO annals.checkpoints (projection, generation, partition, log_id, log_epoch, sequence)
VALUES ($1, $2, $3, $4, $5, 0)
ON CONFLICT DO NOTHING
