-- All leases. Of one that was released nobody is the holder.
SELECT lease, coalesce(CASE WHEN held THEN holder END, '') AS holder, coalesce(host, '') AS host, coalesce(pid, 0) AS pid,
       coalesce(phase, '') AS phase, coalesce(reason, '') AS reason, CASE WHEN held THEN expires_at - clock_timestamp() END AS left
FROM annals.leases CROSS JOIN LATERAL (SELECT expires_at > '-infinity' AS held) AS h
WHERE projection = $1
ORDER BY lease
