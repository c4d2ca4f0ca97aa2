-- What the projector does not need to write, each with what it is for. A rebuild
-- fills the tables first and makes these afterwards.

-- An event is there once; the events of a run in their order.
ALTER TABLE run_events ADD CONSTRAINT run_events_pkey PRIMARY KEY (slot, run_no, event_id);

-- list without a filter, newest first, and start-time ranges.
CREATE INDEX executions_by_start  ON executions (namespace, start_time DESC NULLS LAST, workflow_id DESC, run_id DESC);
-- list and count by type.
CREATE INDEX executions_by_type   ON executions (namespace, workflow_type, start_time DESC NULLS LAST, workflow_id DESC, run_id DESC);
-- list and count by status.
CREATE INDEX executions_by_status ON executions (namespace, status, start_time DESC NULLS LAST, workflow_id DESC, run_id DESC);
-- list by workflow id, whatever the order.
CREATE INDEX executions_by_workflow ON executions (namespace, workflow_id);
-- list by run id alone.
CREATE INDEX executions_by_run    ON executions (namespace, run_id);
