// Package snapshot keeps snapshots of runs' states, for replay.Cached.
//
// Memory forgets with the process. Folder outlives it, and is to be on the machine's own
// disk. Both are bounded in bytes, and forget first what was not used for the longest
// time. Whoever can write to a folder can have his own states taken for the log's: it
// should be as well guarded as the program that reads it.
package snapshot
