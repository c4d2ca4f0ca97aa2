-- +goose Up
-- Heartbeats of activities. They are no part of the log: the stream that brings
-- them forgets, and what it has forgotten is only here. So this table is migrated
-- and never rebuilt from the log, and how far it has come stands beside it.
CREATE TABLE annals.activity_heartbeats (
    slot         smallint    NOT NULL CHECK (slot BETWEEN 0 AND 1023),
    namespace    text COLLATE "C" NOT NULL CHECK (namespace <> ''),
    workflow_id  text COLLATE "C" NOT NULL CHECK (workflow_id <> ''),
    run_id       text COLLATE "C" NOT NULL CHECK (run_id <> ''),
    activity_id  text COLLATE "C" NOT NULL CHECK (activity_id <> ''),
    attempt      integer     NOT NULL CHECK (attempt >= 1),
    time         timestamptz NOT NULL,
    details      jsonb       CHECK (jsonb_typeof(details) = 'object'),
    last_failure text COLLATE "C",
    failure      jsonb       CHECK (jsonb_typeof(failure) = 'object'),
    identity     text COLLATE "C" NOT NULL,
    log_id       text COLLATE "C" NOT NULL CHECK (log_id <> ''),
    log_epoch    bigint      NOT NULL CHECK (log_epoch > 0),
    sequence     bigint      CHECK (sequence > 0),
    PRIMARY KEY (slot, namespace, workflow_id, run_id, activity_id),
    CONSTRAINT failure_has_a_message CHECK ((last_failure IS NULL) = (failure IS NULL))
);
COMMENT ON TABLE  annals.activity_heartbeats              IS 'The newest heartbeat of each activity that ever had one.';
COMMENT ON COLUMN annals.activity_heartbeats.slot         IS 'Of the workflow.';
COMMENT ON COLUMN annals.activity_heartbeats.namespace    IS 'Of the workflow.';
COMMENT ON COLUMN annals.activity_heartbeats.workflow_id  IS 'Of the workflow.';
COMMENT ON COLUMN annals.activity_heartbeats.run_id       IS 'Of the run.';
COMMENT ON COLUMN annals.activity_heartbeats.activity_id  IS 'As the workflow named it.';
COMMENT ON COLUMN annals.activity_heartbeats.attempt      IS 'Of the activity, from 1. A higher one is newer, whatever its time.';
COMMENT ON COLUMN annals.activity_heartbeats.time         IS 'When it was taken, by the worker''s clock. Of one attempt, the later is newer.';
COMMENT ON COLUMN annals.activity_heartbeats.details      IS 'What the next attempt needs to go on: payloads as Temporal''s JSON. Null: none.';
COMMENT ON COLUMN annals.activity_heartbeats.last_failure IS 'Message of the failure of the attempt before. Null: there was none.';
COMMENT ON COLUMN annals.activity_heartbeats.failure      IS 'That failure whole, as Temporal''s JSON.';
COMMENT ON COLUMN annals.activity_heartbeats.identity     IS 'Of the worker; may be empty.';
COMMENT ON COLUMN annals.activity_heartbeats.log_id       IS 'The log that it came from.';
COMMENT ON COLUMN annals.activity_heartbeats.log_epoch    IS 'The epoch of that log.';
COMMENT ON COLUMN annals.activity_heartbeats.sequence     IS 'Its sequence in that log''s stream of heartbeats. Null: the stream was made anew since.';

CREATE TABLE annals.heartbeat_checkpoints (
    log_id     text COLLATE "C" NOT NULL CHECK (log_id <> ''),
    log_epoch  bigint      NOT NULL CHECK (log_epoch > 0),
    sequence   bigint      NOT NULL CHECK (sequence >= 0),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log_id, log_epoch)
);
COMMENT ON TABLE  annals.heartbeat_checkpoints            IS 'How far the heartbeats of a log are kept. A row moves by compare-and-set, in the transaction of the heartbeats that it covers.';
COMMENT ON COLUMN annals.heartbeat_checkpoints.log_id     IS 'The log that the sequence belongs to.';
COMMENT ON COLUMN annals.heartbeat_checkpoints.log_epoch  IS 'The epoch of that log; a restore of the log raises it, and what the stream then holds is read anew.';
COMMENT ON COLUMN annals.heartbeat_checkpoints.sequence   IS 'Sequence in the stream of heartbeats of the last one that was looked at; 0: none.';
COMMENT ON COLUMN annals.heartbeat_checkpoints.updated_at IS 'When the checkpoint moved, by the database''s clock.';

-- +goose Down
DROP TABLE annals.heartbeat_checkpoints;
DROP TABLE annals.activity_heartbeats;
