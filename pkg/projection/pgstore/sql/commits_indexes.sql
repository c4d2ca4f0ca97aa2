
-- With --events=full only: a commit is there once; event_json, by an event's place in the log.
ALTER TABLE commits ADD CONSTRAINT commits_pkey PRIMARY KEY (slot, sequence);
