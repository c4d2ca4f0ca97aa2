-- Which of these attributes ($1 namespaces, $2 names) have a type by now, as far as
-- the registry is that of this log ($3) in this epoch ($4).
SELECT a.namespace, a.name, a.type
FROM annals.search_attributes AS a
JOIN unnest($1::text[], $2::text[]) AS u (namespace, name) USING (namespace, name)
WHERE EXISTS (SELECT FROM annals.control_checkpoint AS c WHERE c.log_id = $3 AND c.log_epoch = $4)
