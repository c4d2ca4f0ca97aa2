-- All checkpoints of a projection's generation: of the live one if $2 is 0.
SELECT generation, partition, log_id, log_epoch, epoch, sequence, commit_hash, commit_time
FROM annals.checkpoints
WHERE projection = $1
  AND generation = CASE WHEN $2 > 0 THEN $2 ELSE
      (SELECT generation FROM annals.generations WHERE projection = $1 AND state = 'live') END
ORDER BY partition
