-- Gives an attribute ($2) of runs of a namespace ($1) the values that it has as its
-- type says; a null is none of the type.
UPDATE generation.executions AS e
SET search_values = e.search_values || CASE WHEN u.value IS NULL THEN '{}' ELSE jsonb_build_object($2::text, u.value::jsonb) END,
    untyped_attributes = nullif(array_remove(e.untyped_attributes, $2::text), '{}')
FROM unnest($3::smallint[], $4::text[], $5::text[], $6::text[]) AS u (slot, workflow_id, run_id, value)
WHERE (e.slot, e.namespace, e.workflow_id, e.run_id) = (u.slot, $1, u.workflow_id, u.run_id)
