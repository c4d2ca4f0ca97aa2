-- Terminates the sessions that keep a member from taking a lease that has expired,
-- if they are of the member that had it: a process that was stopped, or cut off, in
-- the middle of a transaction. The waiting session is known by its name, and so are
-- those of a member, whose names hold its id. Nobody else's are touched.
SELECT pg_terminate_backend(b.pid)
FROM annals.leases AS l
JOIN pg_stat_activity AS b ON b.application_name = l.session AND b.datname = current_database()
JOIN pg_stat_activity AS w ON w.application_name = $3 AND b.pid = ANY (pg_blocking_pids(w.pid))
WHERE l.projection = $1 AND l.lease = $2 AND l.expires_at <= clock_timestamp() AND strpos(l.session, l.holder) > 0
