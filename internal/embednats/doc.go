// Package embednats runs NATS servers with JetStream inside this process.
//
// A [Server] is one server; a [Cluster] is several that replicate, for tests of replicated streams.
//
// # Durability
//
// With [Options].SyncAlways an acknowledged message is on disk: `sync_interval: always`. Without it the
// server acknowledges before it syncs, and the last two minutes may be lost with the machine, though
// not with the process. A server without a StoreDir keeps its data in a temporary folder, which vanishes
// with the server, or with this process if that is killed.
//
// # One owner
//
// Two servers on one StoreDir would destroy it, and nats-server does not look. This package locks the
// folder; a server that is started by other means is not kept out.
//
// # Accounts
//
// A server started with [Options].Accounts takes the user name of a connection as the name of its
// account, which [Server.AddAccount] must have made. Accounts share nothing, so that tests that use the
// same stream names can share a server. There are no passwords: this is for tests on the loopback
// interface.
package embednats
