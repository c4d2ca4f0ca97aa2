-- +goose Up
-- What a projection is, and how far it has come. These tables are migrated;
-- the tables that hold what was made from the log are not: they are created as
-- their version says, and rebuilt when it changes (sql/tables.sql).
CREATE TABLE annals.projections (
    name       text        PRIMARY KEY,
    version    integer     NOT NULL CHECK (version > 0),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE  annals.projections            IS 'Folds of the log into tables. A version that is not the program''s own asks for a rebuild.';
COMMENT ON COLUMN annals.projections.name       IS 'executions is the one that Annals brings.';
COMMENT ON COLUMN annals.projections.version    IS 'Of the shape and the meaning of the projection''s tables.';
COMMENT ON COLUMN annals.projections.created_at IS 'When the tables were made.';

CREATE TABLE annals.checkpoints (
    projection  text        NOT NULL REFERENCES annals.projections (name) ON DELETE CASCADE,
    partition   smallint    NOT NULL CHECK (partition >= 0),
    log_id      text        NOT NULL CHECK (log_id <> ''),
    log_epoch   bigint      NOT NULL CHECK (log_epoch > 0),
    epoch       bigint      NOT NULL DEFAULT 1 CHECK (epoch > 0),
    sequence    bigint      NOT NULL CHECK (sequence >= 0),
    commit_hash bytea       CHECK (octet_length(commit_hash) = 16),
    commit_time timestamptz,
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (projection, partition),
    CONSTRAINT checkpoint_names_its_commit CHECK ((sequence = 0) = (commit_hash IS NULL) AND (sequence = 0) = (commit_time IS NULL))
);
COMMENT ON TABLE  annals.checkpoints             IS 'How far each projection is durable: up to and including a commit. A row moves by compare-and-set, in the transaction of the rows that it covers.';
COMMENT ON COLUMN annals.checkpoints.projection  IS 'Whose checkpoint.';
COMMENT ON COLUMN annals.checkpoints.partition   IS 'Of the log: the stream ANNALS_<partition>.';
COMMENT ON COLUMN annals.checkpoints.log_id      IS 'The log that the sequence belongs to.';
COMMENT ON COLUMN annals.checkpoints.log_epoch   IS 'The epoch of that log; a restore of the log raises it.';
COMMENT ON COLUMN annals.checkpoints.epoch       IS 'Raised by whatever changes rows beside the projector; one that finds another epoch drops its batch and what it has cached.';
COMMENT ON COLUMN annals.checkpoints.sequence    IS 'Stream sequence of the last commit that is in the tables; 0: none.';
COMMENT ON COLUMN annals.checkpoints.commit_hash IS 'Chain hash of that commit: the log must still have the same one there.';
COMMENT ON COLUMN annals.checkpoints.commit_time IS 'When the server stored that commit.';
COMMENT ON COLUMN annals.checkpoints.updated_at  IS 'When the checkpoint moved, by the database''s clock.';

-- +goose Down
DROP TABLE annals.checkpoints;
DROP TABLE annals.projections;
