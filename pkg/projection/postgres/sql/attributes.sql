-- All attributes.
SELECT namespace, name, type, sequence, registered_at, registered_by, cause_partition, cause_sequence
FROM annals.search_attributes
ORDER BY namespace, name
