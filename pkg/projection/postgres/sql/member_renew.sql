-- A member is heard of. Nothing is written while it counts as alive for most of
-- its time still.
INSERT INTO annals.members AS m (projection, id, host, pid, kinds, expires_at)
SELECT $1, $2, $3, $4, $5, clock_timestamp() + $6::interval
WHERE NOT EXISTS (
    SELECT FROM annals.members
    WHERE projection = $1 AND id = $2 AND kinds = $5 AND expires_at > clock_timestamp() + 0.75 * $6::interval)
ON CONFLICT (projection, id) DO UPDATE SET kinds = excluded.kinds, expires_at = excluded.expires_at
