// Package dev runs the whole pipeline in one process: NATS with JetStream,
// Postgres as a child, the projector and ingest.
//
//	            ┌───────── a server ends, the projector stops ────────┐
//	            │                                                     ▼
//	starting ▶ ready ──── interrupted, or the command has ended ──▶ stopping
//
// Nothing is left running when the process ends, however it ends, and an
// ephemeral one leaves no file either (packages embednats, embedpg, scratch).
package dev
