// Package discovery lets commands find the `annals dev` that runs for their
// folder.
//
// A running `annals dev` leaves a record in a temporary folder of its own,
// which vanishes with the process, however that ends (package scratch). A
// record is taken from this user only, and only while its process lives.
package discovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/annals-io/annals/internal/scratch"
)

const (
	kind = "dev"
	name = "running.json"
)

// Record is what a running `annals dev` says about itself.
type Record struct {
	PID         int       `json:"pid"`
	StartedAt   time.Time `json:"startedAt"`
	Folder      string    `json:"folder"`  // in which it was started; absolute, without symbolic links
	DataDir     string    `json:"dataDir"` // empty: ephemeral
	NATSURL     string    `json:"natsUrl"`
	NATSServer  string    `json:"natsServer"` // the server's id
	SyncAlways  bool      `json:"syncAlways"`
	DatabaseURL string    `json:"databaseUrl"`
	AnnalsURL   string    `json:"annalsUrl"` // of ingest
}

// Announce publishes the record until the returned function is called, or the
// process ends.
func Announce(r Record) (withdraw func() error, err error) {
	folder, err := filepath.EvalSymlinks(r.Folder)
	if err != nil {
		return nil, fmt.Errorf("announce annals dev: %w", err)
	}
	if r.Folder, err = filepath.Abs(folder); err != nil {
		return nil, fmt.Errorf("announce annals dev: %w", err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("announce annals dev: %w", err)
	}
	s, err := scratch.New(kind, scratch.Options{})
	if err != nil {
		return nil, fmt.Errorf("announce annals dev: %w", err)
	}
	whole := filepath.Join(s.Path, name)
	if err = os.WriteFile(whole+".new", text, 0o600); err == nil {
		err = os.Rename(whole+".new", whole)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("announce annals dev: %w", err), s.Remove())
	}
	return s.Remove, nil
}

// AmbiguousError occurs when several `annals dev` run and none of them for this
// folder or one above it. Say which one is meant with NATS_URL and DATABASE_URL.
type AmbiguousError struct{ Folders []string }

func (e *AmbiguousError) Error() string {
	return "several annals dev run, and none of them for this folder: set NATS_URL and DATABASE_URL, or go to one of " + strings.Join(e.Folders, ", ")
}

// Find is the `annals dev` that was started in the folder, else in the nearest
// one above it, else the only one that runs. It is nil if none runs, and fails
// with *AmbiguousError if several do elsewhere.
func Find(folder string) (*Record, error) {
	records := Running()
	if len(records) == 0 {
		return nil, nil
	}
	folder, err := filepath.Abs(folder)
	if err == nil {
		folder, err = filepath.EvalSymlinks(folder)
	}
	if err != nil {
		return nil, fmt.Errorf("look for annals dev: %w", err)
	}
	for dir := folder; ; dir = filepath.Dir(dir) {
		for i := range records {
			if records[i].Folder == dir {
				return &records[i], nil
			}
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if len(records) == 1 {
		return &records[0], nil
	}
	e := &AmbiguousError{}
	for _, r := range records {
		e.Folders = append(e.Folders, r.Folder)
	}
	return nil, e
}

// Running lists this user's running `annals dev`, the newest first.
func Running() []Record {
	// As package scratch names its folders; what else matches is told apart by its content.
	found, err := filepath.Glob(filepath.Join(os.TempDir(), "annals*-"+kind+"-*", name))
	if err != nil {
		return nil
	}
	var records []Record
	for _, path := range found {
		if r, ok := read(path); ok {
			records = append(records, r)
		}
	}
	slices.SortFunc(records, func(a, b Record) int { return b.StartedAt.Compare(a.StartedAt) })
	return records
}

// read takes a record if this user wrote it and its process lives.
func read(path string) (Record, bool) {
	var r Record
	folder, err := os.OpenFile(filepath.Dir(path), os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return r, false
	}
	defer folder.Close()
	info, err := folder.Stat()
	if err != nil {
		return r, false
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Geteuid() {
		return r, false
	}
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &r) != nil {
		return r, false
	}
	// The folder's lock is held by the process and by its guardian, so a free
	// one is that of a dead process; the process id tells the moments in which
	// only the guardian is left. EPERM would be another user's process.
	if syscall.Flock(int(folder.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return r, false
	}
	return r, syscall.Kill(r.PID, 0) == nil
}
