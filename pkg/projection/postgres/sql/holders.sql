-- The sessions that hold locks on the relations $1, the oldest transaction first.
-- Whoever only reads checkpoints is in nobody's way.
SELECT a.pid, coalesce(a.usename::text, '') AS "user", coalesce(a.application_name, '') AS application, coalesce(a.state, '') AS state,
       greatest(extract(epoch FROM clock_timestamp() - min(coalesce(a.xact_start, a.backend_start))), 0)::float8 AS seconds
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.granted AND l.pid <> pg_backend_pid() AND l.locktype = 'relation'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.relation = ANY (SELECT to_regclass(name) FROM unnest($1::text[]) AS name)
  AND NOT (l.relation = 'annals.checkpoints'::regclass AND l.mode = 'AccessShareLock')
GROUP BY a.pid, a.usename, a.application_name, a.state
ORDER BY seconds DESC, a.pid
