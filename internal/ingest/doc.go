// Package ingest is the service that workers in any language append to and read
// from: LogService and QueryService of proto/annals/v1, as Connect, gRPC,
// gRPC-Web and JSON by HTTP POST, on one port.
//
// RunNATS serves the same calls by NATS request/reply, as a service that
// `nats micro ls` shows.
//
// It keeps no state: any number of instances serve the same log, and an append
// that one of them did not answer is settled through another.
//
// # JSON
//
// Requests are read as package eventjson reads events: enums in both spellings,
// payloads in full or in Temporal's shorthand, and a field that is not known is
// refused, by its path. A field of the binary form that this version's requests
// do not have is refused too: what it asks for would be dropped. Events may hold
// fields of newer versions of Temporal's API in binary, which are stored.
//
// Answers print every field of this API, those without a value as well, and
// Temporal's messages as Temporal prints them.
//
// # The life of a server
//
//	serving ── the context ends ──▶ draining ── calls have ended, or the time is up ──▶ stopped
//
// While it drains it takes no new connection, /readyz says so, and calls that
// are under way go on.
package ingest
