package projection

import (
	"cmp"
	"context"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

// MemoryLeases are the leases of one projection for members in one process. Its
// clock is the process's. It is safe for concurrent use.
type MemoryLeases struct {
	ttl time.Duration

	mu      sync.Mutex // guards all below; nothing is waited for
	members map[string]memoryMember
	leases  map[string]memoryLease
}

type memoryMember struct {
	Member
	expires time.Time
}

type memoryLease struct {
	Lease
	expires time.Time
}

// NewMemoryLeases are leases that expire after ttl unless they are renewed.
func NewMemoryLeases(ttl time.Duration) *MemoryLeases {
	return &MemoryLeases{ttl: ttl, members: map[string]memoryMember{}, leases: map[string]memoryLease{}}
}

// Of are the leases as a member has and takes them. No two members may have one
// id.
func (m *MemoryLeases) Of(id string) Leases {
	host, _ := os.Hostname() // it is only shown
	return memoryMembership{m, Member{ID: id, Host: host, PID: os.Getpid(), Since: time.Now()}}
}

type memoryMembership struct {
	*MemoryLeases
	me Member
}

// Member is Leases'.
func (m memoryMembership) Member() Member { return m.me }

// Renew is Leases'.
func (m memoryMembership) Renew(ctx context.Context, kinds []string, standing map[string]Standing) (Sharing, error) {
	if err := ctx.Err(); err != nil {
		return Sharing{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	me := memoryMember{m.me, now.Add(m.ttl)}
	me.Kinds = slices.Clone(kinds)
	m.members[m.me.ID] = me
	for name, s := range standing {
		if l := m.leases[name]; l.Holder.ID == m.me.ID && l.expires.After(now) {
			l.expires, l.Phase, l.Reason = now.Add(m.ttl), s.Phase, s.Reason
			m.leases[name] = l
		}
	}
	var s Sharing
	for id, other := range m.members {
		if !other.expires.After(now) {
			delete(m.members, id)
			continue
		}
		other.Left = other.expires.Sub(now)
		s.Members = append(s.Members, other.Member)
	}
	for l := range maps.Values(m.leases) {
		l.Left = l.expires.Sub(now)
		s.Leases = append(s.Leases, l.Lease)
	}
	slices.SortFunc(s.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Leases, func(a, b Lease) int { return cmp.Compare(a.Name, b.Name) })
	return s, nil
}

// Claim is Leases'.
func (m memoryMembership) Claim(ctx context.Context, names []string) (taken []Lease, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, name := range names {
		if m.leases[name].expires.After(now) {
			continue
		}
		l := memoryLease{Lease{Name: name, Holder: m.me}, now.Add(m.ttl)}
		m.leases[name] = l
		l.Left = m.ttl
		taken = append(taken, l.Lease)
	}
	return taken, nil
}

// Release is Leases'.
func (m memoryMembership) Release(ctx context.Context, names []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.release(func(name string) bool { return slices.Contains(names, name) })
	return nil
}

// release makes leases of the member free. m.mu is held.
func (m memoryMembership) release(which func(name string) bool) {
	for name, l := range m.leases {
		if l.Holder.ID == m.me.ID && which(name) {
			m.leases[name] = memoryLease{Lease: Lease{Name: name}}
		}
	}
}

// Holds is Leases'.
func (m memoryMembership) Holds(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.leases[name]; l.Holder.ID != m.me.ID || !l.expires.After(time.Now()) {
		return ErrLeaseLost
	}
	return nil
}

// Leave is Leases'.
func (m memoryMembership) Leave(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.release(func(string) bool { return true })
	delete(m.members, m.me.ID)
	return nil
}
