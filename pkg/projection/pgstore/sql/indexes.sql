-- What the projector does not need to write, each with what it is for. A rebuild
-- fills the tables first and makes these afterwards.

-- An event is there once; the events of a run in their order.
ALTER TABLE run_events ADD CONSTRAINT run_events_pkey PRIMARY KEY (slot, run_no, event_id);

-- A signal is there once; those of a run, in their order.
ALTER TABLE signals ADD CONSTRAINT signals_pkey PRIMARY KEY (slot, namespace, workflow_id, run_id, event_id);

-- list without a filter, in its order: open runs first, then the newest; and count.
-- What belongs to a division of Temporal's own is left out unless it is asked for.
CREATE INDEX executions_by_close  ON executions (namespace, close_time DESC NULLS FIRST, start_time DESC NULLS LAST, run_id, workflow_id) WHERE NOT search_values ? 'TemporalNamespaceDivision';
-- list and count by type.
CREATE INDEX executions_by_type   ON executions (namespace, workflow_type, close_time DESC NULLS FIRST, start_time DESC NULLS LAST, run_id, workflow_id) WHERE NOT search_values ? 'TemporalNamespaceDivision';
-- list and count by status.
CREATE INDEX executions_by_status ON executions (namespace, status, close_time DESC NULLS FIRST, start_time DESC NULLS LAST, run_id, workflow_id) WHERE NOT search_values ? 'TemporalNamespaceDivision';
-- list in the order of start times, and ranges of them.
CREATE INDEX executions_by_start  ON executions (namespace, start_time DESC NULLS LAST, workflow_id DESC, run_id DESC);
-- list by workflow id, whatever the order.
CREATE INDEX executions_by_workflow ON executions (namespace, workflow_id);
-- list by run id alone.
CREATE INDEX executions_by_run    ON executions (namespace, run_id);
-- list and count by search attributes.
CREATE INDEX executions_by_search_values ON executions USING gin (search_values jsonb_path_ops);
-- Values of an attribute that gets its type now: sql/untyped.sql.
CREATE INDEX executions_untyped   ON executions (namespace) WHERE untyped_attributes IS NOT NULL;
