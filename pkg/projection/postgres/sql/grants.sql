-- What has to be said of the relation $1 to make one of the name $2 that was just
-- made belong to the same owner, with the same options and for the same roles:
-- one statement a row. Rights on columns stand behind, with the column's name.
WITH it AS (SELECT * FROM pg_class WHERE oid = to_regclass($1))
SELECT NULL::text AS "column", format('ALTER %s %s OWNER TO %s', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, $2::text, relowner::regrole) AS statement
FROM it WHERE relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user)
UNION ALL
SELECT NULL, format('ALTER VIEW %s SET (%s)', $2, array_to_string(reloptions, ', '))
FROM it WHERE relkind = 'v' AND reloptions IS NOT NULL
UNION ALL
SELECT NULL, format('GRANT %s ON %s TO %s%s', a.privilege_type, $2, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                    CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM it, aclexplode(it.relacl) AS a WHERE a.grantee <> it.relowner
UNION ALL
SELECT c.attname::text, format('GRANT %s (%I) ON %s TO %s%s', a.privilege_type, c.attname, $2, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                         CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM it JOIN pg_attribute AS c ON c.attrelid = it.oid AND c.attnum > 0 AND NOT c.attisdropped, aclexplode(c.attacl) AS a WHERE a.grantee <> it.relowner
