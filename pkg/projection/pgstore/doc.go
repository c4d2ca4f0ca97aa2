// Package pgstore keeps the projection "executions" in Postgres: the tables of
// runs, activities, timers, children and events, and the queries on them.
//
// Rows are made from the log by package execution's fold and are never the
// truth: whatever is wrong in them, the log mends. Store.Verify holds every
// column of every table against the log.
//
// The one exception are heartbeats, which the log's stream of them forgets and the
// table annals.activity_heartbeats does not: it is migrated, never made anew.
//
// Everything lies in the schema annals. Migrate makes it; the columns and their
// meaning are in sql/tables.sql and in the comments that Postgres shows
// (\d+ annals.executions). What they keep of events is said when they are made, and
// changed by a rebuild: EventsMode.
package pgstore
