// Package pgfault cuts the connection between a client and a real Postgres at any statement: before the server has
// got it, or after the server has run it and before the client learns so. It stands on the wire and reads the
// protocol's messages, so that what it calls a statement is whatever the client sends, in the order in which the
// server meets it, within a pipeline too.
package pgfault
