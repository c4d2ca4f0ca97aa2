-- +goose Up
-- Where a rebuild stands, so that whoever takes it up goes on there.
ALTER TABLE annals.generations ADD COLUMN indexed_at timestamptz;
COMMENT ON COLUMN annals.generations.indexed_at IS 'When the indexes were made. Null: while it is filled, and of the first generation, which is made with them.';

-- +goose Down
ALTER TABLE annals.generations DROP COLUMN indexed_at;
