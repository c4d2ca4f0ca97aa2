-- +goose Up
-- Which processes work on a projection, and who does what of it. All times are of
-- the database's clock, and are compared with it alone.
CREATE TABLE annals.members (
    projection text        NOT NULL REFERENCES annals.projections (name) ON DELETE CASCADE,
    id         text COLLATE "C" NOT NULL CHECK (id <> ''),
    host       text        NOT NULL,
    pid        integer     NOT NULL,
    kinds      text[]      NOT NULL,
    since      timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (projection, id)
);
COMMENT ON TABLE  annals.members            IS 'Processes that take leases of a projection.';
COMMENT ON COLUMN annals.members.projection IS 'Whose leases.';
COMMENT ON COLUMN annals.members.id         IS 'Of the process; made anew whenever it starts.';
COMMENT ON COLUMN annals.members.host       IS 'Where it runs, as it calls itself.';
COMMENT ON COLUMN annals.members.pid        IS 'Its number there.';
COMMENT ON COLUMN annals.members.kinds      IS 'The leases that it wants a share of, by what stands before the slash of their names.';
COMMENT ON COLUMN annals.members.since      IS 'When it was first heard of.';
COMMENT ON COLUMN annals.members.expires_at IS 'Until when it counts as alive if it is not heard of again.';

CREATE TABLE annals.leases (
    projection text        NOT NULL REFERENCES annals.projections (name) ON DELETE CASCADE,
    lease      text COLLATE "C" NOT NULL CHECK (lease <> ''),
    holder     text COLLATE "C" CHECK (holder <> ''),
    host       text,
    pid        integer,
    session    text,
    phase      text,
    reason     text,
    taken_at   timestamptz,
    expires_at timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (projection, lease),
    CONSTRAINT holder_is_described CHECK (num_nulls(holder, host, pid, session, taken_at) IN (0, 5)),
    CONSTRAINT held_by_somebody    CHECK (holder IS NOT NULL OR expires_at = '-infinity')
);
COMMENT ON TABLE  annals.leases            IS 'Who does what of a projection: a partition of the log, the heartbeats, a rebuild. One that has expired, or was released, is for whoever takes it.';
COMMENT ON COLUMN annals.leases.projection IS 'Whose work.';
COMMENT ON COLUMN annals.leases.lease      IS 'partition/N, heartbeats, or rebuild. Taking partition/N raises the epoch of the live checkpoint.';
COMMENT ON COLUMN annals.leases.holder     IS 'Id of the member that has it, or had it last.';
COMMENT ON COLUMN annals.leases.host       IS 'Of the holder.';
COMMENT ON COLUMN annals.leases.pid        IS 'Of the holder.';
COMMENT ON COLUMN annals.leases.session    IS 'application_name of the holder''s sessions. One that is in the way when the lease has expired is terminated.';
COMMENT ON COLUMN annals.leases.phase      IS 'Where the work stands, as the holder says.';
COMMENT ON COLUMN annals.leases.reason     IS 'Why the work waits or has stopped, as the holder says.';
COMMENT ON COLUMN annals.leases.taken_at   IS 'When the holder took it.';
COMMENT ON COLUMN annals.leases.expires_at IS 'Until when it is held unless it is renewed; -infinity: it was released.';

-- +goose Down
DROP TABLE annals.leases;
DROP TABLE annals.members;
