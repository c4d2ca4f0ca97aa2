package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"github.com/annals-io/annals/internal/wiring"
)

// How much of a limit may be used, in percent, and what a disk must have left, in
// bytes.
const (
	usedWarned, usedAllowed = 80, 90
	diskWarned, diskAllowed = 5 << 30, 1 << 30
)

// used grades what is used of a limit; none is 0 or less.
func used(bytes, limit int64) severity {
	switch {
	case limit <= 0:
		return fine
	case bytes/usedAllowed >= limit/100:
		return problematic
	case bytes/usedWarned >= limit/100:
		return doubtful
	}
	return fine
}

// storage weighs what is used of a limit.
func (x *examination) storage(name, whose string, bytes, limit int64, remedy string) {
	value := fmt.Sprintf("%s%s bytes", whose, grouped(bytes))
	if limit <= 0 {
		x.note(name, value+", no limit", "")
		return
	}
	x.weigh(name, fmt.Sprintf("%s of %s", value, grouped(limit)), used(bytes, limit), "appends are refused when it is full: "+remedy)
}

// accountStorage looks at what the account may have on all servers.
func (x *examination) accountStorage(ctx context.Context, js jetstream.JetStream) {
	const remedy = "raise the account's max_file, and see that the servers have it"
	a, err := js.AccountInfo(ctx)
	if err != nil {
		x.note("account storage", "", err.Error())
		return
	}
	if len(a.Tiers) == 0 {
		x.storage("account storage", "", int64(a.Store), a.Limits.MaxStore, remedy)
		return
	}
	var tiers []string
	for name := range a.Tiers {
		tiers = append(tiers, name)
	}
	slices.Sort(tiers)
	for _, name := range tiers {
		x.storage("account storage", name+": ", int64(a.Tiers[name].Store), a.Tiers[name].Limits.MaxStore, remedy)
	}
}

// serverStorage looks at what each server that describes itself may store.
func (x *examination) serverStorage(servers []wiring.Server) {
	for _, s := range servers {
		if s.JetStream != nil {
			x.storage("server storage", s.Name+": ", s.JetStream.Used, s.JetStream.Max, "give it a larger disk and max_file_store, or delete streams that nobody needs")
		}
	}
}

// disk looks at the disk of an annals dev that keeps its data, if that is what is
// connected to.
func (x *examination) disk(nc *nats.Conn) {
	running, err := x.servers.Running()
	if err != nil || running == nil || running.DataDir == "" || running.NATSServer != nc.ConnectedServerId() {
		return
	}
	var s unix.Statfs_t
	if err := unix.Statfs(running.DataDir, &s); err != nil {
		x.note("disk", "", fmt.Sprintf("%s: %v", running.DataDir, err))
		return
	}
	x.diskLeft(running.DataDir, int64(s.Bavail)*int64(s.Bsize)) //nolint:unconvert // other types on other systems
}

func (x *examination) diskLeft(folder string, left int64) {
	grade := fine
	switch {
	case left < diskAllowed:
		grade = problematic
	case left < diskWarned:
		grade = doubtful
	}
	x.weigh("disk", fmt.Sprintf("%s bytes left for %s", grouped(left), folder), grade, "the servers stop when it is full: make room, or begin with --data on another disk")
}
