package projection

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// The leases of a projection that are not those of its partitions.
const (
	HeartbeatsLease = "heartbeats" // who keeps the heartbeats
	RebuildLease    = "rebuild"    // who makes its tables anew
)

// partitionLeases is the kind of the leases of partitions.
const partitionLeases = "partition"

// PartitionLease is the name of the lease on a partition, as in "partition/3".
func PartitionLease(p events.Partition) string {
	return partitionLeases + "/" + strconv.Itoa(int(p))
}

// LeasedPartition is the partition that a lease is on; false if it is on
// something else.
func LeasedPartition(lease string) (events.Partition, bool) {
	number, ok := strings.CutPrefix(lease, partitionLeases+"/")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(number, 10, 15)
	return events.Partition(n), err == nil
}

// kindOf is what leases that are shared out together have in common: their name
// up to the slash.
func kindOf(lease string) string {
	kind, _, _ := strings.Cut(lease, "/")
	return kind
}

// Member is a process that takes leases of a projection.
type Member struct {
	ID   string // no other process has had it
	Host string
	PID  int
	// Kinds are the leases that it wants a share of: "partition", "heartbeats".
	Kinds []string
	Since time.Time
	// Left is how long it counts as alive if it is not heard of, by the clock of
	// where the leases lie; 0 or less: it does not.
	Left time.Duration
}

// Lease is the right to do one thing of a projection, for a while.
type Lease struct {
	Name   string
	Holder Member        // who has or had it last, without kinds; no ID: nobody yet
	Left   time.Duration // how long it is still held, as Member.Left; 0 or less: it is free
	// Phase and Reason are what its holder says of the work: where it stands, and
	// why it waits or stopped.
	Phase  Phase
	Reason string
}

// HeldBy reports whether a member has the lease.
func (l Lease) HeldBy(id string) bool { return l.Left > 0 && l.Holder.ID == id }

// Sharing is who has what of a projection, at one moment.
type Sharing struct {
	Members []Member // those that are alive, by id
	Leases  []Lease  // all that were ever taken, by name
}

// Standing is where the work that a lease is for stands.
type Standing struct {
	Phase  Phase
	Reason string // why it waits or stopped
}

// Leases are those of one projection, as one member has and takes them. When
// they expire is decided by one clock, that of where they lie: never by that of a
// process. A lease keeps two members from doing the same work; what keeps an event
// from being applied twice is the compare-and-set on the checkpoint. So taking a
// partition's lease MUST raise the epoch of its live checkpoint, in the same
// transaction: who had it before is fenced even if it does not know yet.
//
// It is safe for concurrent use.
type Leases interface {
	// Member is who has and takes them.
	Member() Member
	// Renew announces the member, with the kinds it wants a share of, and prolongs
	// what it holds, with where that stands; a lease that has expired is not
	// prolonged. It gives who has what then.
	Renew(ctx context.Context, kinds []string, standing map[string]Standing) (Sharing, error)
	// Claim takes those of the named leases that are free, and gives those that it
	// took. If somebody else's transaction stands in the way of one it waits for a
	// moment. With an error some may have been taken: Renew shows them.
	Claim(ctx context.Context, names []string) ([]Lease, error)
	// Release makes those that the member holds free.
	Release(ctx context.Context, names []string) error
	// Holds fails with ErrLeaseLost if the member does not hold a lease now, with
	// any other error if that could not be found out.
	Holds(ctx context.Context, name string) error
	// Leave makes all that it holds free and ends the membership.
	Leave(ctx context.Context) error
}
