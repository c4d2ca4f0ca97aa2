-- What the projector does not need to write. A rebuild fills the tables first and
-- makes these afterwards. The comment of each names the queries that it is for; tests
-- hold that they use it.

ALTER TABLE run_events ADD CONSTRAINT run_events_pkey PRIMARY KEY (slot, run_no, event_id);
COMMENT ON INDEX run_events_pkey IS 'An event is there once. annals.events and annals.event_json of a run, in order; list and count by EventType and EventName; heal.';

ALTER TABLE signals ADD CONSTRAINT signals_pkey PRIMARY KEY (slot, namespace, workflow_id, run_id, event_id);
COMMENT ON INDEX signals_pkey IS 'A signal is there once. annals.signals of a run, in order; heal.';

-- What belongs to a division of Temporal's own is left out of the three that most
-- lists use, unless it is asked for.
CREATE INDEX executions_by_close  ON executions (namespace, close_time DESC NULLS FIRST, start_time DESC NULLS LAST, run_id, workflow_id) WHERE NOT search_values ? 'TemporalNamespaceDivision';
COMMENT ON INDEX executions_by_close IS 'list without a filter, in its order (open runs first, then the last closed), and by CloseTime; count of all.';
CREATE INDEX executions_by_type   ON executions (namespace, workflow_type, close_time DESC NULLS FIRST, start_time DESC NULLS LAST, run_id, workflow_id) WHERE NOT search_values ? 'TemporalNamespaceDivision';
COMMENT ON INDEX executions_by_type IS 'list and count by WorkflowType; count grouped by it.';
CREATE INDEX executions_by_status ON executions (namespace, status, close_time DESC NULLS FIRST, start_time DESC NULLS LAST, run_id, workflow_id) WHERE NOT search_values ? 'TemporalNamespaceDivision';
COMMENT ON INDEX executions_by_status IS 'list and count by ExecutionStatus; count grouped by it.';
CREATE INDEX executions_by_start  ON executions (namespace, start_time DESC NULLS LAST, workflow_id DESC, run_id DESC);
COMMENT ON INDEX executions_by_start IS 'list ordered by StartTime, either way, and by ranges of it.';
-- With the run id, as Postgres takes it for the key where workflows have few runs on
-- average: one that has a hundred thousand would have them all read for one row.
CREATE INDEX executions_by_workflow ON executions (namespace, workflow_id, run_id);
COMMENT ON INDEX executions_by_workflow IS 'list and count by WorkflowId, whatever the order, and by its beginning.';
CREATE INDEX executions_by_run    ON executions (namespace, run_id);
COMMENT ON INDEX executions_by_run IS 'list by RunId alone.';
CREATE INDEX executions_by_search_values ON executions USING gin (search_values jsonb_path_ops);
COMMENT ON INDEX executions_by_search_values IS 'list and count by search attributes: = and IN of keywords and lists.';
CREATE INDEX executions_untyped   ON executions (namespace) WHERE untyped_attributes IS NOT NULL;
COMMENT ON INDEX executions_untyped IS 'The projector''s, when a search attribute gets its type: the runs whose values have none yet (sql/untyped.sql).';
