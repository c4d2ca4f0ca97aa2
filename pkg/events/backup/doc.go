// Package backup is a log in a folder: what its streams held when the backup
// began, in an open form with checksums (docs/adr/0011-backup.md), so that
// nothing of this project is needed to read it.
//
//	manifest.json                                 what the backup holds, with the checksum of every segment
//	ANNALS_00/<first>-<last>.<run>.zst            messages of a stream, in order
//	ANNALS_CONTROL/<first>-<last>.<run>.zst       decisions that are no events
//	ANNALS_HEARTBEATS/<first>-<last>.<run>.zst    the newest heartbeats
//
// What is in the folder counts only once the manifest names it, and the manifest
// is replaced in one step after all that it names is on the disk: whatever kills
// a backup, the folder stays the one of before.
//
// A backup is a prefix of every stream: the ends are taken at the start, and it
// holds exactly what was stored up to there. Write adds to a backup what has
// come since; a folder of another log, or of the same log in another epoch, is
// refused, and so is a log that no longer has the message at which the backup
// ends.
package backup
