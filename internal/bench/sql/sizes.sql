-- What the tables of the schema $1 take, with what is stored apart from their rows
-- (TOAST), and their indexes.
SELECT relname::text, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' ORDER BY relname
