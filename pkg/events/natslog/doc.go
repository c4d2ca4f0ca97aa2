// Package natslog is the log on NATS JetStream: one literal subject per
// workflow, compare-and-set by its last sequence, one message per commit.
//
// A log is the streams ANNALS_00, ANNALS_01, …, each of which owns a range of
// slots. Their metadata says which log it is, its epoch, its format and the
// map of slots; Open checks all of it, and again after every reconnect, so that
// nothing is appended to a log that is not the one that was opened. A message is
// handed to the client only while there is a connection. One that breaks in that
// very moment may still have the client keep the message for the next connection:
// nats.ReconnectBufSize(-1), where the connection is made, rules this out.
//
// Heartbeats lie in a stream of their own, ANNALS_HEARTBEATS, which keeps the last
// message of each activity for an age.
//
// Decisions that are no events lie in another, ANNALS_CONTROL, which keeps all of them.
//
// Log.Backup brings a log into a folder (package backup), and Restore makes a log
// of one where there is none: the same messages at the same sequences, in a new
// epoch. Until its last step the streams are no log, and Open says so.
//
// Tails, and the reads that decide what became of an append, go to the stream's
// leader (STREAM.MSG.GET): a direct get may be answered by a replica that is
// behind (ADR-31 of NATS). Pages of a history use direct gets and must reach
// the tail.
//
// What an acknowledged append survives is the server's configuration:
// sync_interval, replicas. See ARCHITECTURE.md.
package natslog
