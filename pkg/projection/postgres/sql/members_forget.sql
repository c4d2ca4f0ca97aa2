-- Forgets the members that are not alive any more, and one that leaves.
DELETE FROM annals.members
WHERE (projection, id) IN (
    SELECT projection, id FROM annals.members
    WHERE projection = $1 AND (id = $2 OR expires_at <= clock_timestamp())
    FOR UPDATE SKIP LOCKED)
