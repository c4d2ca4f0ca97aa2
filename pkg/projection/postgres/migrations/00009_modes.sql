-- +goose Up
-- How a generation's tables are kept, where the projection has several ways: it is
-- chosen when they are made, and another one asks for a rebuild, as another version
-- does.
ALTER TABLE annals.generations ADD COLUMN mode text NOT NULL DEFAULT '';
COMMENT ON COLUMN annals.generations.mode IS 'Of the ways that the projection has of keeping its tables: of executions index, full or none, as they keep events. Empty: it has one way.';
UPDATE annals.generations SET mode = 'index' WHERE projection = 'executions';

-- +goose Down
ALTER TABLE annals.generations DROP COLUMN mode;
