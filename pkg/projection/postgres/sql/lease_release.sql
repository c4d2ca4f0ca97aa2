-- A member gives up leases; all that it has if $3 is null. Whose they were stays
-- there, for what it may have left open.
UPDATE annals.leases SET expires_at = '-infinity', phase = NULL, reason = NULL
WHERE projection = $1 AND holder = $2 AND expires_at > '-infinity' AND ($3::text[] IS NULL OR lease = ANY ($3))
