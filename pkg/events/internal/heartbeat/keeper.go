// Package heartbeat is the algorithm that keeps the newest heartbeat of each
// activity, over any store that keeps the last message of each subject with
// compare-and-set. The logs in memory and on JetStream use it over two stores.
package heartbeat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// Store keeps the last message of each subject. Its errors are those of
// subjectlog.Store.
type Store interface {
	// Publish stores the message if the last one of its subject has the
	// expected sequence (0: there is none), and returns its sequence.
	Publish(ctx context.Context, m subjectlog.Outgoing) (uint64, error)
	// Last is the last message of a subject, as the leader knows it, or
	// subjectlog.ErrNone.
	Last(ctx context.Context, p events.Partition, subject string) (events.Message, error)
}

// Config is how heartbeats are kept. All fields must be set.
type Config struct {
	Partition   events.Partition // what the store calls the heartbeats' stream
	CommitBytes int              // limit of a heartbeat's body
	Timeout     time.Duration    // ends a record whose context has no deadline
	Now         func() time.Time // dates heartbeats without a time
}

// Keeper records heartbeats and gives the last one. It is safe for concurrent
// use if the store is.
type Keeper struct {
	store  Store
	config Config
}

// New keeps heartbeats in a store.
func New(s Store, c Config) *Keeper { return &Keeper{store: s, config: c} }

// LastHeartbeat is events.Heartbeats'.
func (k *Keeper) LastHeartbeat(ctx context.Context, a events.Activity) (events.Heartbeat, error) {
	if err := a.Validate(); err != nil {
		return events.Heartbeat{}, err
	}
	m, err := k.store.Last(ctx, k.config.Partition, a.HeartbeatSubject())
	if errors.Is(err, subjectlog.ErrNone) {
		return events.Heartbeat{}, &events.NotFoundError{Workflow: a.Workflow, Run: a.RunID, Activity: a.ID}
	}
	if err != nil {
		return events.Heartbeat{}, subjectlog.Unavailable(err)
	}
	h, err := events.DecodeHeartbeat(m)
	return h.Heartbeat, err
}

// RecordHeartbeat is events.Heartbeats'.
func (k *Keeper) RecordHeartbeat(ctx context.Context, h events.Heartbeat) (newest bool, err error) {
	if h.Time.IsZero() {
		h.Time = k.config.Now()
	}
	h.Time = events.HeartbeatTime(h.Time)
	if err := h.Validate(); err != nil {
		return false, err
	}
	r := recording{Keeper: k, h: h, subject: h.Activity.HeartbeatSubject()}
	if _, r.body, err = events.EncodeHeartbeat(&h, 0); err != nil {
		return false, err
	}
	if len(r.body) > k.config.CommitBytes {
		return false, r.tooLarge(int64(k.config.CommitBytes), "keep large details elsewhere")
	}
	ctx, cancel := subjectlog.Within(ctx, k.config.Timeout)
	defer cancel()
	return r.settle(ctx)
}

// recording is one heartbeat on its way.
type recording struct {
	*Keeper
	h       events.Heartbeat
	subject string
	body    []byte
	// unsettled: an attempt may be stored, or may yet be.
	unsettled  bool
	unanswered int // attempts
}

// settle looks at what is kept and tries to put the heartbeat in its place, until
// it is kept or known not to be the newest. An attempt whose outcome is unknown
// needs nothing else: what is kept then is this heartbeat, or what the attempt
// expected (and trying again is the same attempt), or something else, with which
// the attempt can no longer be stored.
func (r *recording) settle(ctx context.Context) (newest bool, err error) {
	wait := subjectlog.Delays()
	var moved *uint64 // what was expected when the subject had moved
	for {
		previous, newer, same, err := r.compare(ctx)
		switch {
		case err != nil:
			return false, r.failed(err)
		case same:
			return true, nil
		case !newer:
			return false, nil
		}
		again, err := r.attempt(ctx, previous)
		if !again {
			return err == nil, err
		}
		if errors.Is(err, subjectlog.ErrMoved) && ctx.Err() == nil && (moved == nil || *moved != previous) {
			moved = &previous // somebody else was quicker: no reason to wait
			continue
		}
		if stop := subjectlog.Sleep(ctx, wait.NextBackOff()); stop != nil {
			return false, r.failed(fmt.Errorf("%w (last answer: %w)", stop, err))
		}
	}
}

// compare says whether the heartbeat is the one that is kept, or newer than it,
// and the sequence of that one.
func (r *recording) compare(ctx context.Context) (previous uint64, newer, same bool, err error) {
	m, err := r.store.Last(ctx, r.config.Partition, r.subject)
	if errors.Is(err, subjectlog.ErrNone) {
		return 0, true, false, nil
	}
	if err != nil {
		return 0, false, false, subjectlog.Unavailable(err)
	}
	kept, err := events.DecodeHeartbeat(m)
	if err != nil {
		return 0, false, false, err
	}
	same = bytes.Equal(m.Body, r.body) || r.h.Equal(&kept.Heartbeat)
	return m.Position.Sequence, r.h.Newer(&kept.Heartbeat), same, nil
}

// attempt sends the heartbeat once. It says whether there should be another
// attempt, with the answer to this one.
func (r *recording) attempt(ctx context.Context, previous uint64) (again bool, err error) {
	header, body, err := events.EncodeHeartbeat(&r.h, previous)
	if err != nil {
		return false, err
	}
	out := subjectlog.Outgoing{
		Partition: r.config.Partition, Subject: r.subject, Header: header, Body: body, Expected: previous, Unanswered: r.unanswered,
	}
	_, err = r.store.Publish(ctx, out)
	var rejected *subjectlog.RejectedError
	switch {
	case err == nil:
		return false, nil
	case errors.As(err, &rejected):
		if r.unsettled {
			return false, r.failed(err)
		}
		return false, r.tooLarge(0, "the server "+rejected.Error())
	case errors.Is(err, events.ErrWrongLog), errors.Is(err, subjectlog.ErrClosed):
		return false, r.failed(err)
	case errors.Is(err, subjectlog.ErrMoved), errors.Is(err, subjectlog.ErrBusy), errors.Is(err, subjectlog.ErrNotSent):
	default:
		r.unsettled = true
		out.Missed(err)
		r.unanswered = out.Unanswered
	}
	return true, err
}

// failed is the error of a record that ends here.
func (r *recording) failed(err error) error {
	switch {
	case errors.Is(err, events.ErrCorrupt):
		return err
	case r.unsettled:
		return &events.HeartbeatUnknownError{Activity: r.h.Activity, Cause: err}
	case errors.Is(err, events.ErrWrongLog), errors.Is(err, events.ErrUnavailable):
		return err
	}
	return fmt.Errorf("%w: heartbeat of %s: %w", events.ErrUnavailable, r.h.Activity, err)
}

func (r *recording) tooLarge(limit int64, remedy string) error {
	return &events.LimitError{
		Workflow: r.h.Activity.Workflow, What: fmt.Sprintf("bytes of a heartbeat of activity %q", r.h.Activity.ID),
		Got: int64(len(r.body)), Max: limit, Remedy: remedy,
	}
}
