package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/annals-io/annals/internal/filelock"
)

// prefix begins the name of every folder, so that a sweep knows its own and takes no folder of somebody
// who named it after the product.
const prefix = "annals-scratch-"

// minMemory is the free space, in bytes, below which a memory file system is not used.
const minMemory = 1 << 30

// guardian reads process ids from its standard input until its parent is gone, interrupts those that
// were named and not forgotten, waits until nobody holds descriptor 3, and removes the folder.
// Descriptor 4 carries the folder's lock, which is so held until the guardian ends.
const guardian = `pids=
while read -r p; do
  case $p in forget) pids= ;; *) pids="$pids $p" ;; esac
done
[ -z "$pids" ] || kill -INT $pids
while read -r _ <&3; do :; done
rm -rf -- "$1"`

// Options say where a folder is made and who may enter it.
type Options struct {
	// Memory asks for a file system in memory where there is one with at least 1 GiB free.
	Memory bool
	// Enter lets other users pass through the folder (mode 0711); without it only its owner may.
	Enter bool
	// MaxPath is the longest path, in bytes, that the folder may have; a system's long default for
	// temporary files then gives way to /tmp. Zero: any length.
	MaxPath int
}

// Folder is a temporary folder. Its methods are safe for concurrent use.
type Folder struct {
	// Path is absolute.
	Path string

	alive *os.File // the guardian's standard input: closed when this process ends
	hold  *os.File // descriptor 3 of the guardian: closed when every user has ended
	lock  *os.File
	guard *exec.Cmd

	remove  sync.Once
	removed error
}

// New makes an empty folder named after kind, this process's id and a random number, and starts its
// guardian. It first removes what dead processes of this user have left in the same place. The folder
// goes when the Folder is collected: keep it for as long as its path is used.
func New(kind string, o Options) (*Folder, error) {
	base, err := place(o)
	if err != nil {
		return nil, err
	}
	sweep(base)
	f, err := claim(base, kind, o)
	if err != nil {
		return nil, fmt.Errorf("scratch folder in %s: %w", base, err)
	}
	if o.MaxPath > 0 && len(f.Path) > o.MaxPath {
		return nil, errors.Join(fmt.Errorf("scratch folder %s: longer than %d bytes; set TMPDIR to a shorter path", f.Path, o.MaxPath), f.abandon())
	}
	if err := f.watch(); err != nil {
		return nil, errors.Join(fmt.Errorf("guardian of %s: %w", f.Path, err), f.abandon())
	}
	return f, nil
}

// Hold is a file to hand to a child process ([exec.Cmd.ExtraFiles]): while any process has it open,
// the guardian keeps the folder. The caller MUST NOT close or write it.
func (f *Folder) Hold() *os.File { return f.hold }

// Interrupt has the guardian send SIGINT to process pid once this process is gone, for systems that
// cannot tie a child's life to its parent's. [Folder.Forget] takes all back.
func (f *Folder) Interrupt(pid int) error {
	_, err := f.alive.WriteString(strconv.Itoa(pid) + "\n")
	return err
}

// Forget takes back every [Folder.Interrupt]: the processes have ended, and their ids may be others'.
func (f *Folder) Forget() error {
	_, err := f.alive.WriteString("forget\n")
	return err
}

// GuardianPID is the process that removes the folder if this one cannot.
func (f *Folder) GuardianPID() int { return f.guard.Process.Pid }

// Remove deletes the folder with all it holds and waits for the guardian to end. Children that hold
// it must have ended before. Further calls give the first one's error.
func (f *Folder) Remove() error {
	f.remove.Do(func() {
		err := os.RemoveAll(f.Path)
		f.removed = errors.Join(err, f.alive.Close(), f.hold.Close(), f.guard.Wait(), f.lock.Close())
	})
	return f.removed
}

// abandon removes a folder that has no guardian yet.
func (f *Folder) abandon() error {
	return errors.Join(os.RemoveAll(f.Path), f.lock.Close())
}

// watch starts the guardian. It has its own session, so that an interrupt typed at the terminal and a
// signal to the process group pass it by.
func (f *Folder) watch() error {
	aliveRead, alive, err := os.Pipe()
	if err != nil {
		return err
	}
	defer aliveRead.Close()
	holdRead, hold, err := os.Pipe()
	if err != nil {
		return errors.Join(err, alive.Close())
	}
	defer holdRead.Close()

	cmd := exec.Command("/bin/sh", "-c", guardian, "annals-scratch", f.Path)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Stdin = aliveRead
	cmd.ExtraFiles = []*os.File{holdRead, f.lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return errors.Join(err, alive.Close(), hold.Close())
	}
	f.alive, f.hold, f.guard = alive, hold, cmd
	return nil
}

// claim makes a folder and locks it. A sweep may take the new folder between the two steps; then
// another is made.
func claim(base, kind string, o Options) (*Folder, error) {
	for {
		path, err := os.MkdirTemp(base, prefix+kind+"-"+strconv.Itoa(os.Getpid())+"-")
		if err != nil {
			return nil, err
		}
		lock, err := lockFolder(path)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, filelock.ErrHeld):
			continue
		case err != nil:
			return nil, errors.Join(err, os.Remove(path))
		}
		f := &Folder{Path: path, lock: lock}
		if o.Enter {
			if err := os.Chmod(path, 0o711); err != nil {
				return nil, errors.Join(err, f.abandon())
			}
		}
		return f, nil
	}
}

// place is the folder in which a new one is made: absolute, existing.
func place(o Options) (string, error) {
	if o.Memory {
		if dir, ok := memory(); ok {
			return dir, nil
		}
	}
	dir, err := filepath.Abs(os.TempDir())
	if err != nil {
		return "", err
	}
	// os.MkdirTemp adds the prefix, a kind, a process id and up to ten digits.
	const name = len("/"+prefix) + 32
	if o.MaxPath > 0 && len(dir)+name > o.MaxPath {
		return "/tmp", nil
	}
	return dir, nil
}
