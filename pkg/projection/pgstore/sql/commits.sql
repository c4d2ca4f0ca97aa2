
-- With --events=full only: each commit whole, and its events as JSON.
CREATE TABLE commits (
    slot        smallint    NOT NULL CHECK (slot BETWEEN 0 AND 1023),
    sequence    bigint      NOT NULL CHECK (sequence > 0),
    partition   smallint    NOT NULL,
    stored_at   timestamptz,
    namespace   text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    headers     jsonb       NOT NULL CHECK (jsonb_typeof(headers) = 'object'),
    body        bytea       NOT NULL,
    events      jsonb       NOT NULL CHECK (jsonb_typeof(events) = 'object')
);
COMMENT ON TABLE  commits IS 'One row a commit, as the log has it, but for voids before a workflow''s first run. There with --events=full only.';
COMMENT ON COLUMN commits.slot        IS 'Of the workflow.';
COMMENT ON COLUMN commits.sequence    IS 'Stream sequence.';
COMMENT ON COLUMN commits.partition   IS 'Of the log.';
COMMENT ON COLUMN commits.stored_at   IS 'When the log''s server stored it.';
COMMENT ON COLUMN commits.namespace   IS 'Of the workflow.';
COMMENT ON COLUMN commits.workflow_id IS 'Of the workflow.';
COMMENT ON COLUMN commits.headers     IS 'All headers of the message: a list of values for each name. What is no UTF-8 in them, and a NUL, is U+FFFD.';
COMMENT ON COLUMN commits.body        IS 'The bytes of the message: a temporal.api.history.v1.History; of a void, why it was written.';
COMMENT ON COLUMN commits.events      IS 'The same events as Temporal''s JSON: by run id and event id. Null stands for an event that JSON cannot hold; a NUL in a text is U+FFFD.';

CREATE VIEW event_json AS
SELECT v.slot, x.namespace, x.workflow_id, x.run_id, v.event_id::bigint AS event_id, v.type, v.name, v.time, x.partition, v.sequence,
       c.events -> x.run_id -> v.event_id::text AS event
FROM run_events AS v
JOIN executions AS x ON (x.slot, x.run_no) = (v.slot, v.run_no)
JOIN commits    AS c ON (c.slot, c.sequence) = (v.slot, v.sequence);
COMMENT ON VIEW   event_json IS 'One row an event, with all that it holds. There with --events=full only.';
COMMENT ON COLUMN event_json.slot        IS 'Of the workflow.';
COMMENT ON COLUMN event_json.namespace   IS 'Of the workflow.';
COMMENT ON COLUMN event_json.workflow_id IS 'Of the workflow.';
COMMENT ON COLUMN event_json.run_id      IS 'Of the run.';
COMMENT ON COLUMN event_json.event_id    IS 'Dense, from 1, in a run.';
COMMENT ON COLUMN event_json.type        IS 'As in events.';
COMMENT ON COLUMN event_json.name        IS 'As in events.';
COMMENT ON COLUMN event_json.time        IS 'Of the event.';
COMMENT ON COLUMN event_json.partition   IS 'Of the log.';
COMMENT ON COLUMN event_json.sequence    IS 'Stream sequence of the commit that holds it.';
COMMENT ON COLUMN event_json.event       IS 'A temporal.api.history.v1.HistoryEvent as Temporal''s JSON; null where JSON cannot hold it.';
