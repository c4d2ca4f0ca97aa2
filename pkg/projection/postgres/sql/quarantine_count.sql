-- More messages of subjects that are set aside.
UPDATE annals.quarantine AS q
SET waiting = q.waiting + n.messages, last_sequence = n.last
FROM unnest($4::text[], $5::bigint[], $6::bigint[]) AS n (subject, messages, last)
WHERE q.projection = $1 AND q.generation = $2 AND q.partition = $3 AND q.subject = n.subject
