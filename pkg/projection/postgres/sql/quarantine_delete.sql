-- A subject waits no more.
DELETE FROM annals.quarantine
WHERE projection = $1 AND generation = $2 AND partition = $3 AND subject = $4
