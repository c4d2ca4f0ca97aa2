package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

const (
	shortTTL      = 600 * time.Millisecond
	shortInterval = 30 * time.Millisecond
)

// sharer is a projector that shares.
type sharer struct {
	*running
	leases *unreachable
	own    *postgres.Leases
	status func() projection.MembershipStatus
}

// unreachable are leases that cannot be reached while cut is set.
type unreachable struct {
	projection.Leases
	cut     atomic.Bool
	forever bool // it believes to have for an hour what it takes, as if its clock stood still
}

var errCut = errors.New("the way to the leases is cut")

func (u *unreachable) Renew(ctx context.Context, kinds []string, standing map[string]projection.Standing) (projection.Sharing, error) {
	if u.cut.Load() {
		return projection.Sharing{}, errCut
	}
	s, err := u.Leases.Renew(ctx, kinds, standing)
	if u.forever {
		for i := range s.Leases {
			if s.Leases[i].HeldBy(u.Member().ID) {
				s.Leases[i].Left = time.Hour
			}
		}
	}
	return s, err
}

func (u *unreachable) Claim(ctx context.Context, names []string) ([]projection.Lease, error) {
	if u.cut.Load() {
		return nil, errCut
	}
	taken, err := u.Leases.Claim(ctx, names)
	if u.forever {
		for i := range taken {
			taken[i].Left = time.Hour
		}
	}
	return taken, err
}

func (u *unreachable) Release(ctx context.Context, names []string) error {
	if u.cut.Load() {
		return errCut
	}
	return u.Leases.Release(ctx, names)
}

func (u *unreachable) Leave(ctx context.Context) error {
	if u.cut.Load() {
		return errCut
	}
	return u.Leases.Leave(ctx)
}

func startSharer(t failer, pool *pgxpool.Pool, log events.Source, target func(*pgstore.Store) projection.Target, forever bool) *sharer {
	t.Helper()
	own, err := postgres.OpenLeases(context.Background(), pool.Config(), pgstore.Name, postgres.LeaseConfig{TTL: shortTTL})
	if err != nil {
		t.Fatal(err)
	}
	leases := &unreachable{Leases: own, forever: forever}
	m, err := projection.NewMembership(leases, projection.MembershipConfig{Interval: shortInterval, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, log, target(storeOn(t, pool, pgstore.Config{CacheRuns: 3})), projection.Config{BatchCommits: 5, MaxBackoff: 30 * time.Millisecond, Membership: m})
	return &sharer{r, leases, own, m.Status}
}

// end stops it; if it dies nobody is told.
func (s *sharer) end(t failer, dies bool) {
	t.Helper()
	s.leases.cut.Store(dies)
	err := s.stop()
	s.own.Close()
	if err != nil {
		t.Errorf("Run: %v", err)
	}
}

func plain(s *pgstore.Store) projection.Target { return s }

// Whoever comes and goes among several projectors that share the partitions, while
// commits come, the tables are those of a fresh fold; and in the end all partitions
// are held, in shares that differ by one at most.
func TestSharingProjectorsMakeTheSameTables(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	var moved, lost uint64
	runs := 0
	begun := time.Now()
	rapid.Check(t, func(t *rapid.T) {
		if runs > 0 && time.Since(begun) > 4*time.Second {
			return // as many as there is time for
		}
		runs++
		empty(t, pool)
		log, err := memlog.New(memlog.Config{Streams: 5})
		if err != nil {
			t.Fatal(err)
		}
		g := historytest.New(historytest.Options{Workflows: 12})
		sharers := []*sharer{startSharer(t, pool, log, plain, false)}
		defer func() {
			for _, s := range sharers {
				s.end(t, false)
			}
		}()
		for range rapid.IntRange(2, 6).Draw(t, "steps") {
			i := rapid.IntRange(0, 100).Draw(t, "who") % len(sharers)
			switch what := rapid.SampledFrom([]string{"joins", "joins", "leaves", "dies", "is cut off", "is cut off"}).Draw(t, "what"); {
			case what == "joins" && len(sharers) < 4:
				sharers = append(sharers, startSharer(t, pool, log, plain, false))
			case what == "is cut off":
				cut := sharers[i]
				cut.leases.cut.Store(true)
				if slices.ContainsFunc(sharers, func(s *sharer) bool { return !s.leases.cut.Load() }) {
					settle(t, storeOn(t, pool, pgstore.Config{}), slices.DeleteFunc(slices.Clone(sharers), func(s *sharer) bool { return s.leases.cut.Load() }), 5)
				}
			case what != "joins" && len(sharers) > 1:
				sharers[i].end(t, what == "dies")
				sharers = slices.Delete(sharers, i, i+1)
			}
			if err := g.AppendAll(context.Background(), log, historytest.Drawn(t, 20)); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range sharers {
			s.leases.cut.Store(false)
		}
		store := storeOn(t, pool, pgstore.Config{})
		waitFor(t, store, ends(t, log))
		settle(t, store, sharers, 5)
		for _, s := range sharers {
			moved, lost = moved+s.status().Taken, lost+s.status().Lost
		}
		mustAgree(t, log, store, pool, g.Workflows())
	})
	t.Logf("%d runs; %d leases were taken by those that were there at the end, and %d lost by them", runs, moved, lost)
}

// settle waits until the partitions are shared fairly.
func settle(t failer, store *pgstore.Store, sharers []*sharer, partitions int) {
	t.Helper()
	until := time.Now().Add(patience)
	for {
		s, err := store.Sharing(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		held := map[string]int{}
		for _, l := range s.Leases {
			if l.Left > 0 {
				held[l.Holder.ID]++
			}
		}
		n, fair := 0, len(sharers) > 0
		for _, s := range sharers {
			has := held[s.own.Member().ID]
			n += has
			fair = fair && (has == partitions/len(sharers) || has == (partitions+len(sharers)-1)/len(sharers))
		}
		if n == partitions && fair {
			return
		}
		if time.Now().After(until) {
			t.Fatal(fmt.Sprintf("of %d partitions among %d: %v", partitions, len(sharers), held))
		}
	}
}

// A projector that believes to have a lease, though it has expired and another has
// taken it, has its batch refused, and does not begin again: not even if its clock
// stood still.
func TestALeaseThatWasTakenIsNotProjectedOnAgain(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	log := newLog(t, 1)
	g := historytest.New(historytest.Options{Workflows: 12})
	steps := historytest.Seeded(9, 300)
	appendSome := func(n int) {
		t.Helper()
		if err := g.AppendAll(t.Context(), log, steps[:n]); err != nil {
			t.Fatal(err)
		}
		steps = steps[n:]
	}
	var written atomic.Int64
	first := startSharer(t, pool, log, func(s *pgstore.Store) projection.Target {
		return watched{s, func(_ projection.Checkpoint, err error) {
			if err == nil {
				written.Add(1)
			}
		}}
	}, true)
	store := storeOn(t, pool, pgstore.Config{})
	appendSome(50)
	waitFor(t, store, ends(t, log))

	first.leases.cut.Store(true) // it hears of nothing any more
	second := startSharer(t, pool, log, plain, false)
	settle(t, store, []*sharer{second}, 1)
	before := written.Load()
	if s := first.Status()[0]; s.Phase != projection.PhaseFollowing {
		t.Errorf("the first one is %s: it knows, and the test proves nothing", s.Phase)
	}
	for len(steps) > 0 {
		appendSome(10)
		waitFor(t, store, ends(t, log))
	}
	for until := time.Now().Add(patience); first.Status()[0].Phase != projection.PhaseStandingBy; {
		if time.Now().After(until) {
			t.Fatalf("the first one is %+v", first.Status()[0])
		}
	}
	if n := written.Load() - before; n != 0 {
		t.Errorf("the first one wrote %d batches after its lease was taken", n)
	}
	if s := first.status(); s.Lost == 0 {
		t.Error("the first one does not say that it lost the lease")
	}
	first.end(t, true)
	second.end(t, false)
	mustAgree(t, log, store, pool, g.Workflows())
}

// misled is a target whose checkpoints are of another log.
type misled struct{ projection.Target }

func (m misled) Checkpoint(ctx context.Context, id events.Identity, p events.Partition) (projection.Checkpoint, error) {
	c, err := m.Target.Checkpoint(ctx, id, p)
	c.LogID = "another"
	return c, err
}

// A partition that has stopped stays with its holder, who says so, and leaves the
// others alone; the holder's Run ends when all partitions have stopped in it.
func TestAPartitionThatStoppedKeepsItsLease(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	log := newLog(t, 2)
	store := storeOn(t, pool, pgstore.Config{})
	second := startSharer(t, pool, log, plain, false)
	settle(t, store, []*sharer{second}, 2)
	first := startSharer(t, pool, log, func(s *pgstore.Store) projection.Target { return misled{s} }, false)
	settle(t, store, []*sharer{first, second}, 2)
	until := time.Now().Add(patience)
	for said := false; !said; {
		s, err := store.Sharing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range s.Leases {
			said = said || l.HeldBy(first.own.Member().ID) && l.Phase == projection.PhaseStopped && l.Reason != ""
		}
		if time.Now().After(until) {
			t.Fatalf("the first one does not say that it stopped: %+v", s.Leases)
		}
	}
	for _, s := range second.Status() {
		if s.Phase == projection.PhaseStopped {
			t.Errorf("the second one stopped too: %v", s.Err)
		}
	}
	select {
	case err := <-first.done:
		t.Fatalf("Run ended though a partition goes on elsewhere: %v", err)
	default:
	}
	second.end(t, false)
	select {
	case err := <-first.done:
		if !errors.Is(err, projection.ErrWrongCheckpoint) {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Run goes on though all partitions have stopped in it")
	}
	first.own.Close()
}

// Where the tables have become another version's, a projector that shares ends, and
// leaves its partitions to those that know that version.
func TestAProjectorOfAnotherVersionEnds(t *testing.T) {
	t.Parallel()
	pool := newTables(t)
	log := newLog(t, 3)
	s := startSharer(t, pool, log, plain, false)
	store := storeOn(t, pool, pgstore.Config{})
	settle(t, store, []*sharer{s}, 3)
	g := historytest.New(historytest.Options{Workflows: 12})
	steps := historytest.Seeded(5, 40)
	if err := g.AppendAll(t.Context(), log, steps[:20]); err != nil {
		t.Fatal(err)
	}
	waitFor(t, store, ends(t, log))
	// As a rebuild by a newer program would.
	for _, sql := range []string{`UPDATE annals.generations SET version = version + 1`, `UPDATE annals.checkpoints SET epoch = epoch + 1`} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.AppendAll(t.Context(), log, steps[20:]); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-s.done:
		if !errors.Is(err, projection.ErrVersion) {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Run goes on")
	}
	s.own.Close()
	sharing, err := store.Sharing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range sharing.Leases {
		if l.Left > 0 {
			t.Errorf("it still has %s", l.Name)
		}
	}
	if len(sharing.Members) != 0 {
		t.Errorf("members: %+v", sharing.Members)
	}
}
