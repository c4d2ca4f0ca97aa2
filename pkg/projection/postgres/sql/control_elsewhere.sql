-- A live projection that is at another log than this one, or in another epoch.
SELECT c.log_id, c.log_epoch
FROM annals.checkpoints AS c
JOIN annals.generations AS g USING (projection, generation)
WHERE g.state = 'live' AND (c.log_id, c.log_epoch) <> ($1, $2)
LIMIT 1
