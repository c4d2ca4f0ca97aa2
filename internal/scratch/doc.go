// Package scratch makes temporary folders that vanish with the process that made them.
//
// A folder is removed by [Folder.Remove]. When the process dies without calling it, by SIGKILL too, a
// guardian removes it: a shell in a session of its own that reads a pipe until no process holds the
// writing end. The process holds it, and so does every child that was started with [Folder.Hold]
// among its files, so that a folder outlives the last of those that use it and not longer.
//
// Should the guardian die as well (a container that is killed as a whole), the next [New] on the same
// machine sweeps: a folder whose lock nobody holds has no owner any more. Nobody's live folder is
// swept, whatever process ids were used again in between.
package scratch
