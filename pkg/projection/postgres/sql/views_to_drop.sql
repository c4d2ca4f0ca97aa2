-- The views in the schema $1 that CREATE OR REPLACE VIEW cannot make show the
-- tables of the schema $3, as their columns are not the first ones of those; and
-- those that show tables of the schema $2 behind the guard and are none of the
-- views $4 any more.
SELECT v.relname::text
FROM pg_class AS v
WHERE v.relnamespace = to_regnamespace(quote_ident($1)) AND v.relkind = 'v'
  AND CASE WHEN v.relname = ANY ($4::text[]) THEN EXISTS (
      SELECT FROM (SELECT row_number() OVER (ORDER BY attnum) AS place, attname, atttypid, atttypmod, attcollation
                   FROM pg_attribute WHERE attrelid = v.oid AND attnum > 0 AND NOT attisdropped) AS shown
      LEFT JOIN (SELECT row_number() OVER (ORDER BY attnum) AS place, attname, atttypid, atttypmod, attcollation
                 FROM pg_attribute WHERE attrelid = to_regclass(format('%I.%I', $3::text, v.relname)) AND attnum > 0 AND NOT attisdropped) AS wanted USING (place)
      WHERE (shown.attname, shown.atttypid, shown.atttypmod, shown.attcollation)
            IS DISTINCT FROM (wanted.attname, wanted.atttypid, wanted.atttypmod, wanted.attcollation))
  ELSE
      EXISTS (SELECT FROM pg_rewrite AS r JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
              WHERE r.ev_class = v.oid AND d.refclassid = 'pg_proc'::regclass AND d.refobjid = 'annals.visible(text, integer)'::regprocedure)
      AND EXISTS (SELECT FROM pg_rewrite AS r JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                  JOIN pg_class AS t ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
                  WHERE r.ev_class = v.oid AND t.relnamespace = to_regnamespace(quote_ident($2)))
  END
ORDER BY v.relname
