-- All conflicts.
SELECT namespace, name, sort, found, type, sequence, noted_at, noted_by, cause_partition, cause_sequence
FROM annals.search_attribute_conflicts
ORDER BY namespace, name, sort, found
