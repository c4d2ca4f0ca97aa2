//go:build !unix

package backup

import "os"

// lock does nothing where files have no advisory locks: there, do not run two
// backups into one folder at a time.
func lock(*os.File) error { return nil }

func unlock(*os.File) {}
