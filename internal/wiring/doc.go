// Package wiring connects a program to the servers that it was told of.
//
// # NATS
//
// The first of these that is given is taken: the flag --nats-url, the
// environment variable NATS_URL, a context of the nats CLI by name (the flag
// --nats-context, then NATS_CONTEXT), an `annals dev` that runs for this folder
// (see package discovery), the context that `nats context select` chose, and
// at last nats://127.0.0.1:4222.
//
// # Postgres
//
// The flag --database-url, the environment variable DATABASE_URL, any of the
// variables that psql reads (PGHOST, PGDATABASE, PGSERVICE, …), an `annals dev`
// that runs for this folder. There is no default: a table that is read or
// written by accident is worse than an error.
//
// Nothing is connected before it is used.
package wiring
