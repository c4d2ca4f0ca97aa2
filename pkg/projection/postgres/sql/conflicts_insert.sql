-- Adds conflicts to the registry.
INSERT INTO annals.search_attribute_conflicts (namespace, name, sort, found, type, sequence, noted_at, noted_by, cause_partition, cause_sequence)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[], $8::text[], $9::smallint[], $10::bigint[])
