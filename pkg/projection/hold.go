package projection

import (
	"context"
	"log/slog"
	"time"
)

// Hold takes a lease for work that is not shared, such as a rebuild, and keeps it
// until release is called, which is to be called once. Its context is a child of
// ctx that ends with ErrLeaseLost as its cause when the lease is lost. It fails
// with ErrLeaseHeld (*LeaseHeldError) if another has the lease.
//
// The leases MUST be of a member of its own: release ends the membership.
func Hold(ctx context.Context, leases Leases, name string, c MembershipConfig) (held context.Context, release func() error, err error) {
	c = c.withDefaults()
	leave := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaving)
		defer cancel()
		return leases.Leave(ctx)
	}
	asked := time.Now()
	taken, err := leases.Claim(ctx, []string{name})
	if err != nil {
		return nil, nil, err
	}
	if len(taken) == 0 {
		sharing, err := leases.Renew(ctx, nil, nil)
		if err == nil {
			err = leave()
		}
		if err != nil {
			return nil, nil, err
		}
		by := &LeaseHeldError{Lease: Lease{Name: name}}
		for _, l := range sharing.Leases {
			if l.Name == name {
				by.Lease = l
			}
		}
		return nil, nil, by
	}
	held, cancel := context.WithCancelCause(ctx)
	until := time.AfterFunc(time.Until(asked.Add(taken[0].Left)), func() { cancel(ErrLeaseLost) })
	keep, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(c.Interval)
		defer tick.Stop()
		failing := false
		for {
			left, err := renewed(keep, leases, name, c.Interval)
			switch {
			case keep.Err() != nil:
				return
			case err != nil && !failing:
				c.Logger.LogAttrs(keep, slog.LevelWarn, "a lease cannot be renewed; trying again", slog.String("lease", name), slog.Any("error", err))
			case err == nil && time.Until(left) <= 0:
				cancel(ErrLeaseLost)
			case err == nil && held.Err() == nil:
				until.Reset(time.Until(left))
			}
			failing = err != nil
			select {
			case <-tick.C:
			case <-keep.Done():
				return
			}
		}
	}()
	return held, func() error {
		stop()
		<-ended
		until.Stop()
		cancel(nil)
		return leave()
	}, nil
}

// renewed prolongs one lease and says until when it is held; the zero time: it is
// not.
func renewed(ctx context.Context, leases Leases, name string, interval time.Duration) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience*interval)
	defer cancel()
	asked := time.Now()
	sharing, err := leases.Renew(ctx, nil, map[string]Standing{name: {Phase: PhaseFollowing}})
	if err != nil {
		return time.Time{}, err
	}
	for _, l := range sharing.Leases {
		if l.Name == name && l.HeldBy(leases.Member().ID) {
			return asked.Add(l.Left), nil
		}
	}
	return time.Time{}, nil
}
