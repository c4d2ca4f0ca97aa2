-- Terminates the sessions that hold more than a reader's locks on the relations of a
-- schema, as far as this role may.
SELECT pg_terminate_backend(a.pid)
FROM pg_stat_activity AS a
WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() AND pg_has_role(a.usesysid, 'USAGE')
  AND EXISTS (
    SELECT FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
    WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation' AND l.mode <> 'AccessShareLock'
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND c.relnamespace = to_regnamespace($1))
