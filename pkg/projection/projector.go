package projection

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// Config is how a projector works. Zero fields mean the default.
type Config struct {
	// BatchCommits and BatchBytes end a batch; 10,000 commits, 8 MiB. A commit
	// counts with 1 KiB more than its events. A batch is written as soon as the
	// one before it is and the log has nothing more, however small.
	BatchCommits int
	BatchBytes   int
	// BufferBytes bounds the events of a partition that are read and not yet
	// written; 24 MiB, and never less than one commit. Three batches keep the
	// reader, the fold and the writer busy at the same time.
	BufferBytes int
	// Attributes, if set, registers the search attributes that commits set, before
	// they are folded, so that every projection of them finds the same types. Where
	// the control stream cannot be reached, the partition waits and tries again.
	Attributes *searchattribute.Registrar
	// Parallel is how many partitions CatchUp works on at a time; as many as
	// there are CPUs, at least 2. Each takes up to some five times BufferBytes of
	// memory. Run works on all.
	Parallel int
	// MaxBackoff is the longest wait before a partition tries again; 5 s.
	MaxBackoff time.Duration
	// Membership shares the work with other processes: of a projector's partitions
	// it works on those whose leases it has. Nil: it works on all.
	Membership *Membership
	// MaxQuarantined is how many subjects of a partition may be quarantined;
	// 10,000. A partition stops before it sets aside another one: the cause is
	// then hardly the workflows'.
	MaxQuarantined int
	// Logger gets what happens to partitions; slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.BatchCommits == 0 {
		c.BatchCommits = 10_000
	}
	if c.BatchBytes == 0 {
		c.BatchBytes = 8 << 20
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = 24 << 20
	}
	if c.Parallel == 0 {
		c.Parallel = max(2, runtime.GOMAXPROCS(0))
	}
	if c.MaxBackoff == 0 {
		c.MaxBackoff = 5 * time.Second
	}
	if c.MaxQuarantined == 0 {
		c.MaxQuarantined = 10_000
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Projector keeps a target up to date with a log. Any number of them may run on
// the same tables. With a Membership they share the partitions; without, all work
// on all: one gets a batch in, the others find out and go on from there.
type Projector struct {
	source events.Source
	target Target
	config Config
	parts  []*partition
}

// New is a projector of all the log's partitions. It fails on a config that
// cannot work.
func New(source events.Source, target Target, c Config) (*Projector, error) {
	if c.BatchCommits < 0 || c.BatchBytes < 0 || c.BufferBytes < 0 || c.Parallel < 0 || c.MaxBackoff < 0 || c.MaxQuarantined < 0 {
		return nil, errors.New("projection: a setting is negative")
	}
	p := &Projector{source: source, target: target, config: c.withDefaults()}
	for i := range source.Identity().Map.Partitions() {
		p.parts = append(p.parts, newPartition(p, events.Partition(i)))
	}
	return p, nil
}

// Run projects until the context ends, or until every partition has stopped. A
// partition that stops is reported at once, in the log and in the status, and
// leaves the others running; Run returns the errors of all that have stopped,
// nil if none has. It is called once.
//
// With a Membership a partition that has stopped keeps its lease, so that it does
// not stop in one process after the other; Run ends when all of the log's
// partitions have stopped in this process, or the tables are of another version.
func (p *Projector) Run(ctx context.Context) error {
	if p.config.Membership != nil {
		return p.runShared(ctx, p.config.Membership)
	}
	errs := make([]error, len(p.parts))
	var wg sync.WaitGroup
	for i, part := range p.parts {
		wg.Go(func() { errs[i] = part.run(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Status is where each partition stands, in order. It is safe to call while Run
// runs.
func (p *Projector) Status() []PartitionStatus {
	out := make([]PartitionStatus, len(p.parts))
	for i, part := range p.parts {
		out[i] = part.status()
	}
	return out
}

// Phase is what a partition is doing.
type Phase string

const (
	PhaseStarting   Phase = "starting"    // has not read its checkpoint yet
	PhaseFollowing  Phase = "following"   // applies what the log has and waits for more
	PhaseWaiting    Phase = "waiting"     // something cannot be reached; tries again
	PhaseStandingBy Phase = "standing by" // another has the partition, or keeps the heartbeats
	PhaseStopped    Phase = "stopped"     // the log is another one, or too much cannot be applied
)

// PartitionStatus is where one partition stands.
type PartitionStatus struct {
	Phase      Phase
	Checkpoint Checkpoint // as last written or read by this projector
	Commits    uint64     // written by this projector
	Events     uint64     // written by this projector
	Batches    uint64     // written by this projector
	// Quarantined is how many subjects of the partition are quarantined, Waiting
	// how many of their messages are not in the tables, as this projector last
	// wrote or read.
	Quarantined int
	Waiting     int64
	// Quarantines counts those that this projector made.
	Quarantines map[Kind]uint64
	Err         error // why it waits or stopped
	// Since is when the trouble began that it waits for to pass; zero if there is
	// none. While it follows, the next batch is still to show that it has passed.
	Since time.Time
}
