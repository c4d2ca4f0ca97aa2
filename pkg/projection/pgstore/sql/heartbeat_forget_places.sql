-- The stream of heartbeats was made anew: what came from the old one has no place
-- in it.
UPDATE annals.activity_heartbeats
SET sequence = NULL
WHERE log_id = $1 AND log_epoch = $2 AND sequence IS NOT NULL
