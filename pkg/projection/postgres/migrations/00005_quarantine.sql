-- +goose Up
-- What of the log could not be applied, and waits.
CREATE TABLE annals.quarantine (
    projection     text        NOT NULL,
    generation     integer     NOT NULL,
    partition      smallint    NOT NULL,
    subject        text COLLATE "C" NOT NULL CHECK (subject <> ''),
    namespace      text COLLATE "C" CHECK (namespace <> ''),
    workflow_id    text COLLATE "C" CHECK (workflow_id <> ''),
    kind           text COLLATE "C" NOT NULL CHECK (kind <> ''),
    reason         text        NOT NULL,
    first_sequence bigint      NOT NULL CHECK (first_sequence > 0),
    good_sequence  bigint      CHECK (good_sequence > 0),
    good_hash      bytea       CHECK (octet_length(good_hash) = 16),
    waiting        bigint      NOT NULL CHECK (waiting > 0),
    last_sequence  bigint      NOT NULL,
    since          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (projection, generation, partition, subject),
    FOREIGN KEY (projection, generation, partition) REFERENCES annals.checkpoints (projection, generation, partition) ON DELETE CASCADE,
    CONSTRAINT workflow_has_a_namespace CHECK ((namespace IS NULL) = (workflow_id IS NULL)),
    CONSTRAINT good_commit_has_a_hash   CHECK ((good_sequence IS NULL) = (good_hash IS NULL)),
    CONSTRAINT sequences_rise           CHECK (coalesce(good_sequence, 0) < first_sequence AND first_sequence <= last_sequence)
);
COMMENT ON TABLE  annals.quarantine                IS 'Subjects whose messages wait, since one of them could not be applied. A row comes and goes with the epoch of its checkpoint.';
COMMENT ON COLUMN annals.quarantine.projection     IS 'Whose tables lack the messages.';
COMMENT ON COLUMN annals.quarantine.generation     IS 'Of the projection''s tables.';
COMMENT ON COLUMN annals.quarantine.partition      IS 'Of the log.';
COMMENT ON COLUMN annals.quarantine.subject        IS 'Of the messages; of a gap in the stream: gap FIRST-LAST. One that is long ends in a digest.';
COMMENT ON COLUMN annals.quarantine.namespace      IS 'Of the workflow. Null: the subject is no workflow''s.';
COMMENT ON COLUMN annals.quarantine.workflow_id    IS 'The workflow. Null: the subject is no workflow''s.';
COMMENT ON COLUMN annals.quarantine.kind           IS 'Why: foreign, undecodable, gap, broken chain, unfit, base, refused, damaged.';
COMMENT ON COLUMN annals.quarantine.reason         IS 'Why, for people.';
COMMENT ON COLUMN annals.quarantine.first_sequence IS 'Stream sequence of the first message that waits: the one to blame.';
COMMENT ON COLUMN annals.quarantine.good_sequence  IS 'Stream sequence of the workflow''s last commit before it. Null: there is none.';
COMMENT ON COLUMN annals.quarantine.good_hash      IS 'Chain hash of that commit.';
COMMENT ON COLUMN annals.quarantine.waiting        IS 'How many messages wait, the first included; of a gap, how many are gone.';
COMMENT ON COLUMN annals.quarantine.last_sequence  IS 'Stream sequence of the last of them.';
COMMENT ON COLUMN annals.quarantine.since          IS 'When it was quarantined, by the database''s clock.';
-- describe, and the flags of a list.
CREATE INDEX quarantine_by_workflow ON annals.quarantine (namespace, workflow_id);

-- +goose Down
DROP TABLE annals.quarantine;
