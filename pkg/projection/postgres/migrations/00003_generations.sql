-- +goose Up
-- Tables that are made from the log exist in generations, each in a schema of its
-- own; what readers name are views of the live one.
CREATE TABLE annals.generations (
    projection text        NOT NULL REFERENCES annals.projections (name) ON DELETE CASCADE,
    generation integer     NOT NULL CHECK (generation > 0),
    version    integer     NOT NULL CHECK (version > 0),
    state      text        NOT NULL CHECK (state IN ('building', 'live', 'retired')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    live_at    timestamptz,
    retired_at timestamptz,
    PRIMARY KEY (projection, generation),
    CONSTRAINT generation_says_since_when CHECK ((state = 'building') = (live_at IS NULL) AND (state = 'retired') = (retired_at IS NOT NULL))
);
COMMENT ON TABLE  annals.generations            IS 'Sets of a projection''s tables, each in a schema annals_<projection>_<generation>.';
COMMENT ON COLUMN annals.generations.projection IS 'Whose tables.';
COMMENT ON COLUMN annals.generations.generation IS 'From 1; never used again.';
COMMENT ON COLUMN annals.generations.version    IS 'Of the shape and the meaning of these tables.';
COMMENT ON COLUMN annals.generations.state      IS 'building: being filled, no reader sees it; live: what the views show; retired: it was live, and can be dropped.';
COMMENT ON COLUMN annals.generations.created_at IS 'When the tables were made.';
COMMENT ON COLUMN annals.generations.live_at    IS 'When it became live.';
COMMENT ON COLUMN annals.generations.retired_at IS 'When another took its place.';
CREATE UNIQUE INDEX one_live_generation     ON annals.generations (projection) WHERE state = 'live';
CREATE UNIQUE INDEX one_building_generation ON annals.generations (projection) WHERE state = 'building';

INSERT INTO annals.generations (projection, generation, version, state, created_at, live_at)
SELECT name, 1, version, 'live', created_at, created_at FROM annals.projections;
ALTER TABLE annals.projections DROP COLUMN version;
ALTER TABLE annals.projections ADD COLUMN last_generation integer NOT NULL DEFAULT 0 CHECK (last_generation >= 0);
UPDATE annals.projections SET last_generation = 1;
COMMENT ON TABLE  annals.projections                 IS 'Folds of the log into tables.';
COMMENT ON COLUMN annals.projections.last_generation IS 'Highest number that a generation of its tables ever had.';

ALTER TABLE annals.checkpoints ADD COLUMN generation integer NOT NULL DEFAULT 1;
ALTER TABLE annals.checkpoints ALTER COLUMN generation DROP DEFAULT;
ALTER TABLE annals.checkpoints DROP CONSTRAINT checkpoints_projection_fkey;
ALTER TABLE annals.checkpoints DROP CONSTRAINT checkpoints_pkey;
ALTER TABLE annals.checkpoints ADD PRIMARY KEY (projection, generation, partition);
ALTER TABLE annals.checkpoints ADD FOREIGN KEY (projection, generation) REFERENCES annals.generations (projection, generation) ON DELETE CASCADE;
COMMENT ON COLUMN annals.checkpoints.generation IS 'Of the projection''s tables.';

-- The tables that there were become generation 1; the program makes the views.
-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT relname FROM pg_class
        WHERE relnamespace = 'annals'::regnamespace AND relkind = 'r'
          AND relname IN ('executions', 'workflows', 'activities', 'timers', 'children', 'events')
    LOOP
        CREATE SCHEMA IF NOT EXISTS annals_executions_1;
        EXECUTE format('ALTER TABLE annals.%I SET SCHEMA annals_executions_1', name);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- The guard of the views. The snapshot that it looks with is the query's: in one
-- taken before a swap the new generation is not live yet, and the rows written
-- since are not visible. It runs as its owner, so that readers need no rights on
-- the bookkeeping.
-- +goose StatementBegin
CREATE FUNCTION annals.visible(projection text, generation integer) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM 1 FROM annals.generations AS g
    WHERE g.projection = visible.projection AND g.generation = visible.generation AND g.state = 'live';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the tables of % were replaced after this transaction took its snapshot', projection
            USING ERRCODE = 'serialization_failure', HINT = 'Run the transaction again.';
    END IF;
    RETURN true;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION annals.visible IS 'True if a generation of a projection''s tables is live in the query''s snapshot; else it fails with serialization_failure.';

-- The compare-and-set of a batch is sent together with the statements behind it. If
-- no checkpoint moved, these must not run: they would lock rows that whoever has the
-- checkpoint is about to write.
-- +goose StatementBegin
CREATE FUNCTION annals.moved(checkpoints bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF checkpoints = 0 THEN
        RAISE EXCEPTION 'the checkpoint was moved by another' USING ERRCODE = 'AN001';
    END IF;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION annals.moved IS 'Fails with AN001 if no checkpoint moved, so that no statement behind it runs.';

-- Epochs rise by the clock and not by one: after a failover to a standby that lacks
-- the last transactions, the next epoch must not be one that somebody still has.
CREATE FUNCTION annals.next_epoch(epoch bigint) RETURNS bigint
LANGUAGE sql VOLATILE AS $$ SELECT greatest(epoch + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint) $$;
COMMENT ON FUNCTION annals.next_epoch IS 'An epoch above one, that no other server has given.';

-- +goose Down
-- +goose StatementBegin
DO $$
BEGIN
    RAISE EXCEPTION 'generations cannot be taken back: drop the schemas and make the tables anew from the log';
END
$$;
-- +goose StatementEnd
