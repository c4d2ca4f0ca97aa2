-- How the tables of the projection $1 keep events that are being made, or else those
-- that are live.
SELECT mode FROM annals.generations WHERE projection = $1 AND state IN ('building', 'live') ORDER BY state = 'live' LIMIT 1
