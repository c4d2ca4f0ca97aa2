// Package filelock has the advisory locks by which processes of ours keep each
// other out of a folder or a file. The system lets go of a lock when its process
// ends, however that ends.
package filelock

import (
	"errors"
	"os"
	"syscall"
)

// ErrHeld: somebody else has the lock.
var ErrHeld = errors.New("the lock is held")

// Take locks the open file, or folder, for whoever opened it, and does not wait:
// it fails with ErrHeld if another has the lock, be it in this process.
func Take(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrHeld
	}
	return err
}

// Release lets go of the lock and closes the file. Closing alone does not let go
// at once: a child that another goroutine is starting has the file too, until it
// runs a program of its own.
func Release(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}
