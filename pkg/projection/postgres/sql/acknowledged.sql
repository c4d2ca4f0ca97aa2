-- Deletes what of a generation's quarantine somebody has looked at in the tables
-- before it, all of it: more messages than were there then are shown.
DELETE FROM annals.quarantine AS q USING annals.acknowledged AS a
WHERE q.projection = $1 AND q.generation = $2 AND q.workflow_id IS NULL
  AND a.projection = q.projection AND a.log_id = $3 AND a.log_epoch = $4 AND a.partition = q.partition
  AND q.first_sequence >= a.first_sequence AND q.last_sequence <= a.last_sequence
  AND (q.subject = a.subject OR q.kind = 'gap' AND a.kind = 'gap')
