-- The members that are alive.
SELECT id, host, pid, kinds, since, expires_at - clock_timestamp() AS left
FROM annals.members
WHERE projection = $1 AND expires_at > clock_timestamp()
ORDER BY id
