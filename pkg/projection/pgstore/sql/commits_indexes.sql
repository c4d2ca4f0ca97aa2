
-- With --events=full only.
ALTER TABLE commits ADD CONSTRAINT commits_pkey PRIMARY KEY (slot, sequence);
COMMENT ON INDEX commits_pkey IS 'A commit is there once. annals.event_json, by an event''s place in the log; annals.commits by position; heal, which reads a slot of them.';
