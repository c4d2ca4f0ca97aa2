-- +goose Up
-- What of the quarantine, of no workflow, somebody has looked at: tables that are made
-- anew meet it again, and need not ask again.
CREATE TABLE annals.acknowledged (
    projection      text        NOT NULL,
    log_id          text        NOT NULL,
    log_epoch       bigint      NOT NULL,
    partition       smallint    NOT NULL,
    subject         text COLLATE "C" NOT NULL,
    kind            text COLLATE "C" NOT NULL,
    first_sequence  bigint      NOT NULL,
    last_sequence   bigint      NOT NULL,
    acknowledged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (projection, log_id, log_epoch, partition, subject),
    FOREIGN KEY (projection) REFERENCES annals.projections (name) ON DELETE CASCADE,
    CONSTRAINT sequences_rise CHECK (first_sequence <= last_sequence)
);
COMMENT ON TABLE  annals.acknowledged                 IS 'Gaps of the log, and messages of no workflow, that somebody has looked at.';
COMMENT ON COLUMN annals.acknowledged.projection      IS 'Whose tables lacked them.';
COMMENT ON COLUMN annals.acknowledged.log_id          IS 'Of the log.';
COMMENT ON COLUMN annals.acknowledged.log_epoch       IS 'Of the log.';
COMMENT ON COLUMN annals.acknowledged.partition       IS 'Of the log.';
COMMENT ON COLUMN annals.acknowledged.subject         IS 'As it was quarantined.';
COMMENT ON COLUMN annals.acknowledged.kind            IS 'As it was quarantined.';
COMMENT ON COLUMN annals.acknowledged.first_sequence  IS 'Stream sequence of the first message.';
COMMENT ON COLUMN annals.acknowledged.last_sequence   IS 'Stream sequence of the last one: those behind it are new.';
COMMENT ON COLUMN annals.acknowledged.acknowledged_at IS 'When, by the database''s clock.';

-- +goose Down
DROP TABLE annals.acknowledged;
