-- +goose Up
-- The registry of search attributes, as the log's control stream has it. It is the
-- same for every projection and generation, so it is migrated; what it holds is
-- made from that stream, and made anew from its start if its checkpoint is deleted.
CREATE TABLE annals.search_attributes (
    namespace       text COLLATE "C" NOT NULL CHECK (namespace <> ''),
    name            text COLLATE "C" NOT NULL CHECK (name <> ''),
    type            text COLLATE "C" NOT NULL,
    sequence        bigint      NOT NULL CHECK (sequence > 0),
    registered_at   timestamptz NOT NULL,
    registered_by   text COLLATE "C" NOT NULL,
    cause_partition smallint    CHECK (cause_partition >= 0),
    cause_sequence  bigint      CHECK (cause_sequence > 0),
    PRIMARY KEY (namespace, name),
    CONSTRAINT cause_is_a_position CHECK ((cause_partition IS NULL) = (cause_sequence IS NULL))
);
COMMENT ON TABLE  annals.search_attributes                 IS 'The type of each search attribute of a namespace. It never changes.';
COMMENT ON COLUMN annals.search_attributes.namespace       IS 'Whose attribute.';
COMMENT ON COLUMN annals.search_attributes.name            IS 'As values and filters name it.';
COMMENT ON COLUMN annals.search_attributes.type            IS 'Bool, Datetime, Double, Int, Keyword, KeywordList or Text; another one is of a later version.';
COMMENT ON COLUMN annals.search_attributes.sequence        IS 'Of the registration, in the control stream.';
COMMENT ON COLUMN annals.search_attributes.registered_at   IS 'When it was registered, by the clock of who did.';
COMMENT ON COLUMN annals.search_attributes.registered_by   IS 'Who registered it; may be empty.';
COMMENT ON COLUMN annals.search_attributes.cause_partition IS 'Partition of the commit that had the first value which says its type. Null: a command registered it.';
COMMENT ON COLUMN annals.search_attributes.cause_sequence  IS 'Sequence of that commit.';

CREATE TABLE annals.search_attribute_conflicts (
    namespace       text COLLATE "C" NOT NULL CHECK (namespace <> ''),
    name            text COLLATE "C" NOT NULL CHECK (name <> ''),
    sort            text COLLATE "C" NOT NULL CHECK (sort <> ''),
    found           text COLLATE "C" NOT NULL,
    type            text COLLATE "C" NOT NULL,
    sequence        bigint      NOT NULL CHECK (sequence > 0),
    noted_at        timestamptz NOT NULL,
    noted_by        text COLLATE "C" NOT NULL,
    cause_partition smallint    CHECK (cause_partition >= 0),
    cause_sequence  bigint      CHECK (cause_sequence > 0),
    PRIMARY KEY (namespace, name, sort, found),
    CONSTRAINT cause_is_a_position CHECK ((cause_partition IS NULL) = (cause_sequence IS NULL))
);
COMMENT ON TABLE  annals.search_attribute_conflicts                 IS 'What does not fit the type of a search attribute: the first of each sort.';
COMMENT ON COLUMN annals.search_attribute_conflicts.namespace       IS 'Whose attribute.';
COMMENT ON COLUMN annals.search_attribute_conflicts.name            IS 'Of the attribute.';
COMMENT ON COLUMN annals.search_attribute_conflicts.sort            IS 'type: a value says another type; value: it is none of the type; registration: it was registered again with another type.';
COMMENT ON COLUMN annals.search_attribute_conflicts.found           IS 'The other type, or what the value is in JSON.';
COMMENT ON COLUMN annals.search_attribute_conflicts.type            IS 'That the attribute has.';
COMMENT ON COLUMN annals.search_attribute_conflicts.sequence        IS 'Of the decision that keeps it, in the control stream.';
COMMENT ON COLUMN annals.search_attribute_conflicts.noted_at        IS 'When it was met, by the clock of who did.';
COMMENT ON COLUMN annals.search_attribute_conflicts.noted_by        IS 'Who met it; may be empty.';
COMMENT ON COLUMN annals.search_attribute_conflicts.cause_partition IS 'Partition of the commit that had the value. Null: it was a registration.';
COMMENT ON COLUMN annals.search_attribute_conflicts.cause_sequence  IS 'Sequence of that commit.';

CREATE TABLE annals.control_checkpoint (
    one        boolean     PRIMARY KEY DEFAULT true CHECK (one),
    log_id     text COLLATE "C" NOT NULL CHECK (log_id <> ''),
    log_epoch  bigint      NOT NULL CHECK (log_epoch > 0),
    sequence   bigint      NOT NULL CHECK (sequence >= 0),
    commit_id  text COLLATE "C" NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE  annals.control_checkpoint            IS 'How far the tables have come with the control stream. The row moves by compare-and-set, in the transaction of the rows that it covers.';
COMMENT ON COLUMN annals.control_checkpoint.one        IS 'There is one row.';
COMMENT ON COLUMN annals.control_checkpoint.log_id     IS 'The log that the sequence belongs to.';
COMMENT ON COLUMN annals.control_checkpoint.log_epoch  IS 'The epoch of that log; a restore of the log raises it, and its stream is read anew.';
COMMENT ON COLUMN annals.control_checkpoint.sequence   IS 'Sequence in the control stream of the last message that was looked at; 0: none.';
COMMENT ON COLUMN annals.control_checkpoint.commit_id  IS 'Commit id of the decision there, which the stream must still have; empty: the message is no decision, or there is none.';
COMMENT ON COLUMN annals.control_checkpoint.updated_at IS 'When the checkpoint moved, by the database''s clock.';

-- +goose Down
DROP TABLE annals.control_checkpoint;
DROP TABLE annals.search_attribute_conflicts;
DROP TABLE annals.search_attributes;
