-- Adds attributes to the registry.
INSERT INTO annals.search_attributes (namespace, name, type, sequence, registered_at, registered_by, cause_partition, cause_sequence)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::text[], $7::smallint[], $8::bigint[])
