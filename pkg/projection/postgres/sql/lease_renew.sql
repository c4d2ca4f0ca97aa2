-- A member prolongs what it holds, and says how the work stands. What has expired
-- is not prolonged, and nothing is written where nothing new is said and most of
-- the time is left.
UPDATE annals.leases AS l
SET expires_at = clock_timestamp() + $6::interval, phase = s.phase, reason = s.reason
FROM unnest($3::text[], $4::text[], $5::text[]) AS s (lease, phase, reason)
WHERE l.projection = $1 AND l.lease = s.lease AND l.holder = $2 AND l.expires_at > clock_timestamp()
  AND (l.expires_at < clock_timestamp() + 0.75 * $6::interval OR (l.phase, l.reason) IS DISTINCT FROM (s.phase, s.reason))
