-- All generations of all projections, with what their tables take. A table that
-- was never counted says -1 rows.
SELECT g.projection, g.generation, g.version, g.state, g.mode, s.schema, t.tables, t.bytes, t.rows,
       g.created_at, g.indexed_at, g.live_at, g.retired_at
FROM annals.generations AS g
CROSS JOIN LATERAL (SELECT format('annals_%s_%s', g.projection, g.generation) AS schema) AS s
CROSS JOIN LATERAL (
    SELECT count(*)::integer AS tables, coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS bytes,
           coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint AS rows
    FROM pg_class AS c WHERE c.relnamespace = to_regnamespace(quote_ident(s.schema)) AND c.relkind = 'r') AS t
ORDER BY g.projection, g.generation
