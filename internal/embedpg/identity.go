package embedpg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// identity is the user that the server runs as.
type identity struct {
	name     string
	uid, gid uint32
	// dropped: this process is root, and its children change to this user.
	dropped bool
}

// identify chooses the user for a data folder: this process's own, and for root the folder's owner if
// there is one beside root, else postgres, else nobody.
func identify(dataDir string) (identity, error) {
	if os.Geteuid() != 0 {
		return identity{name: strconv.Itoa(os.Geteuid()), uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	if dataDir != "" {
		info, err := os.Stat(dataDir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return identity{}, fmt.Errorf("data folder: %w", err)
		default:
			if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 {
				return identity{name: strconv.FormatUint(uint64(stat.Uid), 10), uid: stat.Uid, gid: stat.Gid, dropped: true}, nil
			}
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseInt(u.Uid, 10, 64)
		if err != nil {
			return identity{}, fmt.Errorf("user %s: %w", name, err)
		}
		gid, err := strconv.ParseInt(u.Gid, 10, 64)
		if err != nil {
			return identity{}, fmt.Errorf("user %s: %w", name, err)
		}
		// macOS writes nobody as -2.
		return identity{name: name, uid: uint32(uid), gid: uint32(gid), dropped: true}, nil
	}
	return identity{}, errors.New("PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user nobody: run as an ordinary user, add one of them, or set DATABASE_URL to a server that runs")
}

// credential is what a child changes to; nil: nothing.
func (id identity) credential() *syscall.Credential {
	if !id.dropped {
		return nil
	}
	return &syscall.Credential{Uid: id.uid, Gid: id.gid}
}

// give makes path the identity's own.
func (id identity) give(path string) error {
	if !id.dropped {
		return nil
	}
	return os.Lchown(path, int(id.uid), int(id.gid))
}

// reach says whether the identity can get to path, which may not exist yet: every existing folder on
// the way must let it pass. The error names the first that does not.
func (id identity) reach(path string) error {
	if !id.dropped {
		return nil
	}
	var above []string
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		above = append(above, dir)
		if dir == filepath.Dir(dir) {
			break
		}
	}
	for i := len(above) - 1; i >= 0; i-- {
		info, err := os.Stat(above[i])
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !id.enters(info) {
			return &UnreachableError{Path: path, Blocked: above[i], User: id.name}
		}
	}
	return nil
}

// enters reads the mode bits as the kernel does for a user without supplementary groups.
func (id identity) enters(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	mode := info.Mode().Perm()
	switch {
	case stat.Uid == id.uid:
		return mode&0o100 != 0
	case stat.Gid == id.gid:
		return mode&0o010 != 0
	}
	return mode&0o001 != 0
}
