package postgres

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

var (
	//go:embed sql/member_renew.sql
	memberRenewSQL string
	//go:embed sql/lease_renew.sql
	leaseRenewSQL string
	//go:embed sql/members.sql
	membersSQL string
	//go:embed sql/leases.sql
	leasesSQL string
	//go:embed sql/lease_add.sql
	leaseAddSQL string
	//go:embed sql/lease_claim.sql
	leaseClaimSQL string
	//go:embed sql/lease_clear_way.sql
	leaseClearWaySQL string
	//go:embed sql/lease_release.sql
	leaseReleaseSQL string
	//go:embed sql/lease_held.sql
	leaseHeldSQL string
	//go:embed sql/members_forget.sql
	membersForgetSQL string
)

// leaseClaimWaitingSQL is the same, waiting for whoever has locked a row.
var leaseClaimWaitingSQL = strings.ReplaceAll(leaseClaimSQL, " SKIP LOCKED", "")

// LeaseConfig is how leases are held. Zero fields mean the default.
type LeaseConfig struct {
	// TTL is how long a lease is held, and a member counts as alive, if it is not
	// renewed; 6 s.
	TTL time.Duration
	// BlockedWait is how long a claim waits for those who have locked what it
	// needs; 2 s.
	BlockedWait time.Duration
}

func (c LeaseConfig) withDefaults() LeaseConfig {
	if c.TTL == 0 {
		c.TTL = 6 * time.Second
	}
	if c.BlockedWait == 0 {
		c.BlockedWait = 2 * time.Second
	}
	return c
}

// Leases are those of a projection, as rows that expire by Postgres's clock, for
// one member: projection.Leases. They have sessions of their own, three at the
// most, so that renewing waits for no batch.
//
// Whatever is asked is sent at once and is a transaction of its own, so that a
// process that is stopped in the middle leaves nothing locked.
type Leases struct {
	projection string
	member     projection.Member
	config     LeaseConfig
	pool       *pgxpool.Pool
	session    string // application_name of the member's sessions
}

var _ projection.Leases = (*Leases)(nil)

// OpenLeases are a projection's leases for a new member, in the database of a
// pool's config. It connects when it is used first; Close ends its sessions, and
// releases nothing. It fails on a config that cannot work.
func OpenLeases(ctx context.Context, database *pgxpool.Config, name string, c LeaseConfig) (*Leases, error) {
	if c.TTL < 0 || c.BlockedWait < 0 {
		return nil, &events.InvalidError{Field: "leases", Reason: "has a time that is less than nothing"}
	}
	id := make([]byte, 6)
	_, _ = rand.Read(id)     // never fails
	host, _ := os.Hostname() // it is only shown
	l := &Leases{
		projection: name, config: c.withDefaults(),
		member: projection.Member{ID: hex.EncodeToString(id), Host: host, PID: os.Getpid()},
	}
	if here := machine(); here != "" {
		l.member.ID = here + "-" + l.member.ID
	}
	l.session = sessionName(database.ConnConfig.RuntimeParams["application_name"], l.member.ID)
	config := l.Sessions(database)
	config.MaxConns, config.MinConns, config.MinIdleConns = 3, 0, 0
	var err error
	if l.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	return l, nil
}

// Close ends the sessions.
func (l *Leases) Close() { l.pool.Close() }

// maxName is what Postgres keeps of an application_name.
const maxName = 63

// sessionName is what sessions of a member are called.
func sessionName(program, id string) string {
	if program == "" {
		program = "annals"
	}
	return program[:min(len(program), maxName-1-len(id))] + "/" + id
}

// Sessions is a pool's config for the member's work: whoever takes a lease that
// this member let expire knows the sessions by their application_name, and may
// terminate one that stands in the way. They end by themselves if they are idle in
// a transaction, or if the client's machine is gone.
func (l *Leases) Sessions(database *pgxpool.Config) *pgxpool.Config {
	c := database.Copy()
	if c.ConnConfig.RuntimeParams == nil {
		c.ConnConfig.RuntimeParams = map[string]string{}
	}
	c.ConnConfig.RuntimeParams["application_name"] = l.session
	guardSessions(c)
	return c
}

// Member is projection.Leases'.
func (l *Leases) Member() projection.Member { return l.member }

// Renew is projection.Leases'.
func (l *Leases) Renew(ctx context.Context, kinds []string, standing map[string]projection.Standing) (projection.Sharing, error) {
	names := make([]string, 0, len(standing))
	for name := range standing {
		names = append(names, name)
	}
	slices.Sort(names)
	phases, reasons := make([]*string, len(names)), make([]*string, len(names))
	for i, name := range names {
		s := standing[name]
		phases[i], reasons[i] = orNull(string(s.Phase)), orNull(s.Reason)
	}
	if kinds == nil {
		kinds = []string{}
	}
	var q pgx.Batch
	q.Queue(memberRenewSQL, l.projection, l.member.ID, l.member.Host, int32(l.member.PID), kinds, l.config.TTL)
	q.Queue(leaseRenewSQL, l.projection, l.member.ID, names, phases, reasons, l.config.TTL)
	var s projection.Sharing
	queueSharing(&q, l.projection, &s)
	if err := l.pool.SendBatch(ctx, &q).Close(); err != nil {
		return projection.Sharing{}, fmt.Errorf("renew leases: %w", err)
	}
	return s, nil
}

// maxReason is how many bytes of a reason are kept.
const maxReason = 500

// orNull is null for an empty text; what Postgres cannot hold is replaced.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	s = strings.ReplaceAll(strings.ToValidUTF8(s[:min(len(s), maxReason)], "\uFFFD"), "\x00", "\uFFFD")
	return &s
}

// Sharing is who has what of the projection.
func (p *Projection) Sharing(ctx context.Context) (projection.Sharing, error) {
	return sharing(ctx, p.pool, p.definition.Name)
}

func sharing(ctx context.Context, pool *pgxpool.Pool, name string) (s projection.Sharing, err error) {
	var q pgx.Batch
	queueSharing(&q, name, &s)
	if err := pool.SendBatch(ctx, &q).Close(); err != nil {
		return projection.Sharing{}, fmt.Errorf("read leases: %w", err)
	}
	return s, nil
}

func queueSharing(q *pgx.Batch, name string, s *projection.Sharing) {
	q.Queue(membersSQL, name).Query(func(rows pgx.Rows) (err error) {
		s.Members, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m projection.Member, err error) {
			err = row.Scan(&m.ID, &m.Host, &m.PID, &m.Kinds, &m.Since, &m.Left)
			return m, err
		})
		return err
	})
	q.Queue(leasesSQL, name).Query(func(rows pgx.Rows) (err error) {
		s.Leases, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (projection.Lease, error) {
			var x projection.Lease
			var left *time.Duration
			err := row.Scan(&x.Name, &x.Holder.ID, &x.Holder.Host, &x.Holder.PID, &x.Phase, &x.Reason, &left)
			if left != nil {
				x.Left = *left
			}
			if x.Holder.ID == "" {
				x.Holder = projection.Member{}
			}
			return x, err
		})
		return err
	})
}

// Claim is projection.Leases'.
func (l *Leases) Claim(ctx context.Context, names []string) ([]projection.Lease, error) {
	var q pgx.Batch
	q.Queue(leaseAddSQL, l.projection, names)
	var taken []string
	l.queueClaim(&q, leaseClaimSQL, names, &taken)
	q.Queue(membersForgetSQL, l.projection, "")
	if err := l.pool.SendBatch(ctx, &q).Close(); err != nil {
		return nil, fmt.Errorf("claim leases: %w", err)
	}
	var err error
	if len(taken) < len(names) {
		var freed []string
		freed, err = l.claimBlocked(ctx, slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(taken, n) }))
		taken = append(taken, freed...)
	}
	out := make([]projection.Lease, len(taken))
	for i, name := range taken {
		out[i] = projection.Lease{Name: name, Holder: l.member, Left: l.config.TTL}
	}
	return out, err
}

func (l *Leases) queueClaim(q *pgx.Batch, sql string, names []string, taken *[]string) {
	partitions := make([]*int16, len(names))
	for i, name := range names {
		if p, ok := projection.LeasedPartition(name); ok {
			n := int16(p)
			partitions[i] = &n
		}
	}
	q.Queue(sql, l.projection, names, partitions, l.member.ID, l.member.Host, int32(l.member.PID), l.session, l.config.TTL).Query(func(rows pgx.Rows) (err error) {
		*taken, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
}

// claimBlocked takes those leases that are free, though somebody has locked what
// has to be changed for it, one after the other, until BlockedWait is over.
func (l *Leases) claimBlocked(ctx context.Context, names []string) (taken []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.config.BlockedWait)
	defer cancel()
	s, err := sharing(ctx, l.pool, l.projection)
	if err != nil {
		return nil, err
	}
	for _, x := range s.Leases {
		if x.Left > 0 || !slices.Contains(names, x.Name) {
			continue
		}
		got, err := l.claimWaiting(ctx, x.Name)
		taken = append(taken, got...)
		if err != nil || ctx.Err() != nil {
			return taken, err
		}
	}
	return taken, nil
}

// clearing is how long a claim has waited when it looks at who is in the way, and
// how long until it looks again.
const clearing = 200 * time.Millisecond

// claimWaiting takes one lease, and waits for whoever has locked what has to be
// changed for it. If that is a session of the member that let it expire, it is
// terminated: a process that is stopped ends nothing by itself, and no timeout of
// Postgres ends a session that waits for the data of a COPY.
func (l *Leases) claimWaiting(ctx context.Context, name string) (taken []string, err error) {
	waiting := claimant(l.member.ID, name)
	deadline, _ := ctx.Deadline()
	left := max(time.Until(deadline), time.Millisecond)
	// Postgres ends the waiting, so that the session stays of use.
	answer, cancel := context.WithTimeout(context.WithoutCancel(ctx), left+time.Second)
	defer cancel()
	var q pgx.Batch
	// Of this transaction alone.
	q.Queue(`SELECT set_config('lock_timeout', $1, true), set_config('application_name', $2, true)`, milliseconds(left), waiting)
	l.queueClaim(&q, leaseClaimWaitingSQL, []string{name}, &taken)
	done := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		tick := time.NewTicker(clearing)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			// If it fails the claim does, or waits for nothing.
			_, _ = l.pool.Exec(ctx, leaseClearWaySQL, l.projection, name, waiting)
		}
	})
	err = l.pool.SendBatch(answer, &q).Close()
	close(done)
	looking.Wait()
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == lockNotAvailable {
		return nil, fmt.Errorf("claim %s: somebody has locked what has to be changed for it: %w", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", name, err)
	}
	return taken, nil
}

// claimant is what a session is called while it waits for a lease.
func claimant(id, lease string) string {
	name := "annals claims " + lease + " for " + id
	return name[:min(len(name), maxName)]
}

// Release is projection.Leases'.
func (l *Leases) Release(ctx context.Context, names []string) error {
	if _, err := l.pool.Exec(ctx, leaseReleaseSQL, l.projection, l.member.ID, names); err != nil {
		return fmt.Errorf("release leases: %w", err)
	}
	return nil
}

// Holds is projection.Leases'.
func (l *Leases) Holds(ctx context.Context, name string) error {
	var held bool
	if err := l.pool.QueryRow(ctx, leaseHeldSQL, l.projection, name, l.member.ID).Scan(&held); err != nil {
		return fmt.Errorf("look at the lease: %w", err)
	}
	if !held {
		return projection.ErrLeaseLost
	}
	return nil
}

// Leave is projection.Leases'.
func (l *Leases) Leave(ctx context.Context) error {
	var q pgx.Batch
	queueLeaving(&q, l.projection, l.member.ID)
	if err := l.pool.SendBatch(ctx, &q).Close(); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	return nil
}
