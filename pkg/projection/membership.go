package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// MembershipConfig is how a member shares. Zero fields mean the default.
type MembershipConfig struct {
	// Interval is how often it looks at who has what; 500 ms. A lease that somebody
	// gave up is taken after so long, at the most.
	Interval time.Duration
	// HandOver is how long the work on a lease that another shall have may take to
	// end with what it has begun; 2 s. Then it is cut off, and begun again there.
	HandOver time.Duration
	// Logger gets what is taken, lost and given up; slog.Default().
	Logger *slog.Logger
}

func (c MembershipConfig) withDefaults() MembershipConfig {
	if c.Interval == 0 {
		c.Interval = 500 * time.Millisecond
	}
	if c.HandOver == 0 {
		c.HandOver = 2 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Membership is a process's part in sharing the work on a projection with others:
// it takes leases, begins the work that each is for, prolongs them, ends the work
// when one is lost, and gives up what is more than its share. A Projector and a
// HeartbeatKeeper may use the same one; it is alive while one of them runs.
type Membership struct {
	leases Leases
	config MembershipConfig
	wake   chan struct{} // holds one when a round is due

	mu     sync.Mutex // guards what is below, and all jobs; never held while anything is waited for
	jobs   map[string]*job
	stop   context.CancelFunc
	ended  chan struct{}
	status MembershipStatus
}

// MembershipStatus is how a member stands.
type MembershipStatus struct {
	Member   Member
	Members  int      // alive, this one included, when it last looked; 0: it never could
	Held     []string // leases, in order
	Taken    uint64   // leases, since the start
	TookOver uint64   // those of them that another had let expire
	Lost     uint64   // leases that expired while this member had them
	Failed   uint64   // attempts to renew
	Err      error    // why renewing fails now
}

// NewMembership is a membership that nothing uses yet. It fails on a config that
// cannot work.
func NewMembership(leases Leases, c MembershipConfig) (*Membership, error) {
	if c.Interval < 0 || c.HandOver < 0 {
		return nil, errors.New("projection: a setting is negative")
	}
	c = c.withDefaults()
	c.Logger = c.Logger.With(slog.String("member", leases.Member().ID))
	return &Membership{
		leases: leases, config: c, wake: make(chan struct{}, 1), jobs: map[string]*job{},
		status: MembershipStatus{Member: leases.Member()},
	}, nil
}

// Status is how the member stands. It is safe for concurrent use.
func (m *Membership) Status() MembershipStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.status
	for _, j := range m.jobs {
		for name := range j.held {
			s.Held = append(s.Held, name)
		}
	}
	slices.Sort(s.Held)
	return s
}

// job is work that leases of one kind are for.
type job struct {
	ctx      context.Context //nolint:containedctx // that of the call of share, in which all work lies
	names    []string        // of the leases, in order
	work     func(context.Context, *Holding)
	standing func(name string) Standing
	held     map[string]*Holding // until their work has ended
	given    map[string]bool     // given up here, and not yet where the leases lie
	closed   bool                // nothing more is begun
}

// share takes a fair share of the named leases, all of one kind, and does the work
// on each, until the context ends and the work has. Work that ends by itself keeps
// its lease.
func (m *Membership) share(ctx context.Context, names []string, work func(context.Context, *Holding), standing func(string) Standing) error {
	kind := kindOf(names[0])
	j := &job{ctx: ctx, names: names, work: work, standing: standing, held: map[string]*Holding{}, given: map[string]bool{}}
	m.mu.Lock()
	if m.jobs[kind] != nil {
		m.mu.Unlock()
		return fmt.Errorf("projection: the membership shares leases of kind %q already", kind)
	}
	m.jobs[kind] = j
	if len(m.jobs) == 1 {
		var loop context.Context
		loop, m.stop = context.WithCancel(context.WithoutCancel(ctx))
		m.ended = make(chan struct{})
		go m.run(loop, m.ended)
	}
	m.mu.Unlock()
	m.poke()
	<-ctx.Done()
	m.close(kind, j)
	return nil
}

// leaving bounds what is said when a member goes; who cannot be told finds out
// when the leases expire.
const leaving = time.Second

// close ends a job, whose context has ended, and gives up its leases.
func (m *Membership) close(kind string, j *job) {
	m.mu.Lock()
	j.closed = true
	var held []string
	var works []chan struct{}
	for name, h := range j.held {
		held = append(held, name)
		works = append(works, h.done)
		h.end(nil)
	}
	for name := range j.given {
		held = append(held, name)
	}
	m.mu.Unlock()
	for _, w := range works {
		<-w
	}
	m.mu.Lock()
	delete(m.jobs, kind)
	var stop context.CancelFunc
	var ended chan struct{}
	if len(m.jobs) == 0 {
		stop, ended = m.stop, m.ended
	}
	m.mu.Unlock()
	if stop != nil {
		stop()
		<-ended
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(j.ctx), leaving)
	defer cancel()
	var err error
	switch {
	case stop != nil:
		err = m.leases.Leave(ctx)
	case len(held) > 0:
		err = m.leases.Release(ctx, held)
	}
	slices.Sort(held)
	if err != nil {
		m.config.Logger.LogAttrs(ctx, slog.LevelWarn, "leases could not be given up: they expire", slog.Any("leases", held), slog.Any("error", err))
	} else if len(held) > 0 {
		m.config.Logger.LogAttrs(ctx, slog.LevelInfo, "leases were released", slog.Any("leases", held), slog.String("why", "the process ends its work"))
	}
}

// poke has a round come at once.
func (m *Membership) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run makes rounds until the context ends.
func (m *Membership) run(ctx context.Context, ended chan struct{}) {
	defer close(ended)
	for {
		m.round(ctx)
		// Members that were started together do not stay in step.
		t := time.NewTimer(time.Duration((0.9 + 0.2*rand.Float64()) * float64(m.config.Interval)))
		select {
		case <-t.C:
		case <-m.wake:
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// patience is how many intervals a call may take: longer than the server needs
// when it is busy, shorter than leases live.
const patience = 4

// call does one thing with the leases. What is under way when the context ends is
// not cut off at once: it could be done after the member has left, and bring it
// back for as long as it lives.
func (m *Membership) call(ctx context.Context, f func(context.Context) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	answer, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience*m.config.Interval)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(m.config.Interval, cancel) })()
	return f(answer)
}

// round looks at who has what, and does what follows from it.
func (m *Membership) round(ctx context.Context) {
	call := func(f func(context.Context) error) error { return m.call(ctx, f) }
	given := call(m.giveUp)
	var sharing Sharing
	var asked time.Time
	err := call(func(ctx context.Context) (err error) {
		kinds, standing := m.tidings()
		asked = time.Now()
		sharing, err = m.leases.Renew(ctx, kinds, standing)
		return err
	})
	if err == nil {
		if claims := m.settle(ctx, sharing, asked); len(claims) > 0 {
			err = call(func(ctx context.Context) error { return m.claim(ctx, claims, sharing) })
		}
	}
	if ctx.Err() == nil {
		m.said(ctx, errors.Join(given, err))
	}
}

// said keeps and reports how a round ended, once where it ends the same again.
func (m *Membership) said(ctx context.Context, err error) {
	m.mu.Lock()
	before := m.status.Err
	m.status.Err = err
	if err != nil {
		m.status.Failed++
	}
	m.mu.Unlock()
	switch {
	case err != nil && before == nil:
		m.config.Logger.LogAttrs(ctx, slog.LevelWarn, "leases cannot be renewed or taken; trying again", slog.Any("error", err))
	case err == nil && before != nil:
		m.config.Logger.LogAttrs(ctx, slog.LevelInfo, "leases are renewed and taken again")
	}
}

// tidings are what Renew tells.
func (m *Membership) tidings() (kinds []string, standing map[string]Standing) {
	m.mu.Lock()
	defer m.mu.Unlock()
	standing = map[string]Standing{}
	for kind, j := range m.jobs {
		if j.closed {
			continue
		}
		kinds = append(kinds, kind)
		for name := range j.held {
			standing[name] = j.standing(name)
		}
	}
	slices.Sort(kinds)
	return kinds, standing
}

// giveUp releases what was given up here.
func (m *Membership) giveUp(ctx context.Context) error {
	var names []string
	m.mu.Lock()
	for _, j := range m.jobs {
		for name := range j.given {
			names = append(names, name)
		}
	}
	m.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	if err := m.leases.Release(ctx, names); err != nil {
		return err
	}
	m.mu.Lock()
	for _, j := range m.jobs {
		for _, name := range names {
			delete(j.given, name)
		}
	}
	m.mu.Unlock()
	m.config.Logger.LogAttrs(ctx, slog.LevelInfo, "leases were released", slog.Any("leases", names), slog.String("why", "they are another member's share"))
	return nil
}

// settle makes this process's work what the sharing says that it is, as it was
// some time after asked, and gives the leases to claim.
func (m *Membership) settle(ctx context.Context, sharing Sharing, asked time.Time) (claims []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	me := m.status.Member.ID
	m.status.Members = len(sharing.Members)
	leases := map[string]Lease{}
	for _, l := range sharing.Leases {
		leases[l.Name] = l
	}
	for _, j := range m.jobs {
		if j.closed {
			continue
		}
		for _, name := range j.names {
			l, h := leases[name], j.held[name]
			switch {
			case h == nil && l.HeldBy(me) && !j.given[name]:
				m.begin(j, l, asked) // a claim whose answer was lost
			case h == nil || h.lost():
			case l.HeldBy(me):
				h.prolong(asked.Add(l.Left))
			default:
				m.lose(j, h, lostTo(l))
			}
		}
		mine := shares(sharing, j.names)[me]
		claims = append(claims, mine.claim...)
		for _, name := range mine.release {
			if h := j.held[name]; h != nil && !h.drained {
				m.config.Logger.LogAttrs(ctx, slog.LevelInfo, "a lease is handed over", slog.String("lease", name), slog.Int("members", len(sharing.Members)))
				m.drain(j, h)
			}
		}
	}
	return claims
}

// lostTo says why a lease is not held any more.
func lostTo(l Lease) string {
	if l.Left > 0 {
		return fmt.Sprintf("it expired, and %s (process %d on %s) has taken it", l.Holder.ID, l.Holder.PID, l.Holder.Host)
	}
	return "it expired"
}

// claim takes leases and begins the work on those that it got.
func (m *Membership) claim(ctx context.Context, names []string, before Sharing) error {
	asked := time.Now()
	taken, err := m.leases.Claim(ctx, names)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range taken {
		from := slog.String("from", "")
		for _, b := range before.Leases {
			if b.Name == l.Name && b.Holder.ID != "" {
				from = slog.String("from", b.Holder.ID)
				m.status.TookOver++
			}
		}
		m.status.Taken++
		m.config.Logger.LogAttrs(ctx, slog.LevelInfo, "a lease was taken", slog.String("lease", l.Name), from)
		// One for a job that was closed meanwhile is left to Leave, or expires.
		if j := m.jobs[kindOf(l.Name)]; j != nil && !j.closed && j.held[l.Name] == nil {
			m.begin(j, l, asked)
		}
	}
	return err
}

// begin begins the work on a lease. m.mu is held.
func (m *Membership) begin(j *job, l Lease, asked time.Time) {
	h := &Holding{name: l.Name, leases: m.leases, drain: make(chan struct{}), done: make(chan struct{})}
	var ctx context.Context
	ctx, h.cancel = context.WithCancelCause(j.ctx)
	h.ctx = ctx
	h.lose = func(why string) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if j.held[h.name] == h && !h.lost() {
			m.lose(j, h, why)
		}
	}
	h.until = time.AfterFunc(time.Until(asked.Add(l.Left)), func() { h.lose("it could not be renewed in time") })
	j.held[l.Name] = h
	go func() {
		defer m.settled(j, h)
		j.work(ctx, h)
	}()
}

// lose ends the work on a lease that is not held any more. m.mu is held.
func (m *Membership) lose(j *job, h *Holding, why string) {
	m.status.Lost++
	m.config.Logger.LogAttrs(h.ctx, slog.LevelWarn, "a lease was lost", slog.String("lease", h.name), slog.String("why", why))
	h.end(fmt.Errorf("%w: %s", ErrLeaseLost, why))
	m.forget(j, h)
}

// drain has the work on a lease end soon, with what it has begun. m.mu is held.
func (m *Membership) drain(j *job, h *Holding) {
	h.drained = true
	close(h.drain)
	h.cutOff = time.AfterFunc(m.config.HandOver, func() { h.cancel(context.Canceled) })
	m.forget(j, h)
}

// settled is called when the work on a lease has ended.
func (m *Membership) settled(j *job, h *Holding) {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(h.done)
	m.forget(j, h)
}

// forget drops a holding whose work has ended and shall not go on. m.mu is held.
func (m *Membership) forget(j *job, h *Holding) {
	select {
	case <-h.done:
	default:
		return
	}
	if j.held[h.name] != h || !h.drained && !h.lost() {
		return
	}
	given := !h.lost()
	h.end(nil)
	delete(j.held, h.name)
	if given && !j.closed {
		j.given[h.name] = true
		m.poke()
	}
}
