-- What makes the view $3 in the schema $1 show the table of that name in the schema
-- $2, which is generation $5 of the projection $4: each column by its name, behind
-- the guard; and what is said of the table and its columns, as far as it is not said
-- of the view already. $6: the view is made anew.
WITH shown AS (
    SELECT a.attname, col_description(a.attrelid, a.attnum) AS comment
    FROM pg_attribute AS a WHERE NOT $6 AND a.attrelid = to_regclass(format('%I.%I', $1::text, $3::text)) AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT '', obj_description(to_regclass(format('%I.%I', $1, $3)), 'pg_class') WHERE NOT $6
), wanted AS (
    SELECT a.attname, a.attnum, col_description(a.attrelid, a.attnum) AS comment
    FROM pg_attribute AS a WHERE a.attrelid = to_regclass(format('%I.%I', $2::text, $3)) AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT '', 0, obj_description(to_regclass(format('%I.%I', $2, $3)), 'pg_class')
)
SELECT format('CREATE OR REPLACE VIEW %I.%I AS SELECT %s FROM %I.%I WHERE annals.visible(%L, %s)', $1, $3,
              string_agg(quote_ident(attname), ', ' ORDER BY attnum) FILTER (WHERE attnum > 0), $2, $3, $4::text, $5::integer)
       || coalesce(string_agg(CASE attnum
              WHEN 0 THEN format(E';\nCOMMENT ON VIEW %I.%I IS %L', $1, $3, wanted.comment)
              ELSE format(E';\nCOMMENT ON COLUMN %I.%I.%I IS %L', $1, $3, attname, wanted.comment) END, '' ORDER BY attnum)
              FILTER (WHERE wanted.comment IS DISTINCT FROM shown.comment), '')
FROM wanted LEFT JOIN shown USING (attname)
HAVING count(*) FILTER (WHERE attnum > 0) > 0
