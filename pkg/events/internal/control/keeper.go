// Package control is the algorithm by which decisions are made, over any store
// that keeps the messages of each subject with compare-and-set. The logs in memory
// and on JetStream use it over two stores.
package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// Store keeps the messages of the control stream. Its errors are those of
// subjectlog.Store.
type Store interface {
	Publish(ctx context.Context, m subjectlog.Outgoing) (uint64, error)
	Last(ctx context.Context, p events.Partition, subject string) (events.Message, error)
	Next(ctx context.Context, p events.Partition, subject string, from uint64) (events.Message, error)
	OldLeader(ctx context.Context, p events.Partition) (time.Duration, error)
}

// Config is how decisions are made. All fields must be set.
type Config struct {
	Partition events.Partition // what the store calls the control stream
	Timeout   time.Duration    // ends a decision whose context has no deadline
	Now       func() time.Time // dates decisions without a time
}

// Decider decides. It is safe for concurrent use if the store is.
type Decider struct {
	store  Store
	config Config
}

// New decides in a store.
func New(s Store, c Config) *Decider { return &Decider{store: s, config: c} }

// Decide is events.Control's.
func (k *Decider) Decide(ctx context.Context, d events.Decision, after uint64) (events.StoredDecision, bool, error) {
	given := d.CommitID != ""
	if !given {
		id, err := uuid.NewV7()
		if err != nil {
			return events.StoredDecision{}, false, err
		}
		d.CommitID = events.CommitID(id.String())
	}
	if d.Time.IsZero() {
		d.Time = k.config.Now()
	}
	d.Time = events.DecisionTime(d.Time)
	if err := d.Validate(); err != nil {
		return events.StoredDecision{}, false, err
	}
	ctx, cancel := subjectlog.Within(ctx, k.config.Timeout)
	defer cancel()
	w := deciding{Decider: k, d: d, after: after, subject: d.Topic.Subject(), unsettled: given}
	if given {
		found, err := w.find(ctx)
		if err != nil {
			return events.StoredDecision{}, false, w.failed(err)
		}
		if found != nil {
			return w.existing(*found)
		}
	}
	return w.settle(ctx)
}

// deciding is one decision on its way.
type deciding struct {
	*Decider
	d       events.Decision
	after   uint64
	subject string
	// unsettled: an attempt may be stored, or may yet be: one of an earlier call, where
	// the commit id was given.
	unsettled bool
	doubt     subjectlog.Doubt
}

// find looks for the commit id among all decisions of the topic.
func (w *deciding) find(ctx context.Context) (*events.StoredDecision, error) {
	last, err := w.store.Last(ctx, w.config.Partition, w.subject)
	if errors.Is(err, subjectlog.ErrNone) {
		return nil, nil
	}
	for from := uint64(1); err == nil && from <= last.Position.Sequence; {
		var m events.Message
		if m, err = w.store.Next(ctx, w.config.Partition, w.subject, from); err != nil {
			break
		}
		// A message that is no decision has no commit id.
		if s, bad := events.DecodeDecision(m); bad == nil && s.CommitID == w.d.CommitID {
			return &s, nil
		}
		from = m.Position.Sequence + 1
	}
	return nil, subjectlog.Unavailable(err)
}

// existing is the answer where the commit id is stored.
func (w *deciding) existing(s events.StoredDecision) (events.StoredDecision, bool, error) {
	if !w.d.SameAs(&s.Decision) {
		return events.StoredDecision{}, false, &events.DecisionReusedError{CommitID: w.d.CommitID, Stored: s}
	}
	return s, true, nil
}

// settle sends the decision until it is known to be stored or known never to be.
func (w *deciding) settle(ctx context.Context) (events.StoredDecision, bool, error) {
	wait := subjectlog.Delays()
	out := subjectlog.Outgoing{
		CommitID: w.d.CommitID, Partition: w.config.Partition, Subject: w.subject,
		Header: events.EncodeDecision(&w.d, w.after), Body: w.d.Content, Expected: w.after,
	}
	for {
		seq, err := w.store.Publish(ctx, out)
		var rejected *subjectlog.RejectedError
		switch {
		case err == nil:
			return events.StoredDecision{Decision: w.d, Sequence: seq, Previous: w.after}, false, nil
		case errors.Is(err, subjectlog.ErrMoved):
			s, existed, look := w.moved(ctx)
			if !errors.Is(look, errNotMoved) {
				return s, existed, look
			}
		case errors.As(err, &rejected), errors.Is(err, events.ErrWrongLog), errors.Is(err, subjectlog.ErrClosed):
			return events.StoredDecision{}, false, w.failed(err)
		case errors.Is(err, subjectlog.ErrBusy), errors.Is(err, subjectlog.ErrNotSent):
		default:
			w.unsettled = true
		}
		if stop := subjectlog.Sleep(ctx, wait.NextBackOff()); stop != nil {
			return events.StoredDecision{}, false, w.failed(fmt.Errorf("%w (last answer: %w)", stop, err))
		}
	}
}

// errNotMoved: the topic ends with what the decision expects, so who refused it was
// another than who was asked then, and one of them does not know all that is stored.
var errNotMoved = errors.New("the topic has not moved")

// moved looks at what follows directly on the expectation: this decision, which an
// earlier attempt stored, or another one, with which this can no longer be.
func (w *deciding) moved(ctx context.Context) (events.StoredDecision, bool, error) {
	wait := subjectlog.Delays()
	for {
		asked := time.Now()
		m, err := w.store.Next(ctx, w.config.Partition, w.subject, w.after+1)
		if err == nil {
			s, bad := events.DecodeDecision(m)
			if bad == nil && s.CommitID == w.d.CommitID {
				return w.existing(s)
			}
			return events.StoredDecision{}, false, &events.DecidedError{Topic: w.d.Topic, Expected: w.after, Actual: s}
		}
		if errors.Is(err, subjectlog.ErrNone) {
			var done bool
			if done, err = w.endsAtExpected(ctx, asked); done {
				return events.StoredDecision{}, false, err
			}
		}
		if stop := subjectlog.Sleep(ctx, wait.NextBackOff()); stop != nil {
			return events.StoredDecision{}, false, w.failed(fmt.Errorf("%w (last answer: %w)", stop, err))
		}
	}
}

// endsAtExpected looks whether the topic ends with what the decision expects, behind
// which there was nothing when that was asked for. It is done with errNotMoved if so,
// or with the error that says that it is gone; else an error says why that is not known.
func (w *deciding) endsAtExpected(ctx context.Context, asked time.Time) (done bool, err error) {
	last, err := w.store.Last(ctx, w.config.Partition, w.subject)
	switch {
	case err != nil && !errors.Is(err, subjectlog.ErrNone):
		return false, err
	case last.Position.Sequence > w.after:
		return false, subjectlog.ErrNone
	case last.Position.Sequence == w.after:
		w.doubt.Dispel()
		return true, errNotMoved
	}
	old, err := w.store.OldLeader(ctx, w.config.Partition)
	switch {
	case err != nil:
		return false, err
	case w.doubt.Justified(asked, old):
		return false, fmt.Errorf("the message at %d is not there, as a server says that may be the leader no more", w.after)
	}
	return true, &events.WrongLogError{
		What: "control stream", Want: fmt.Sprintf("to have the message of %s at %d", w.d.Topic, w.after), Got: "without it: it was cut short, made anew or restored",
	}
}

// failed is the error of a decision that ends here.
func (w *deciding) failed(err error) error {
	switch {
	case w.unsettled:
		return &events.DecisionUnknownError{Topic: w.d.Topic, CommitID: w.d.CommitID, After: w.after, Cause: err}
	case errors.Is(err, events.ErrWrongLog), errors.Is(err, events.ErrUnavailable):
		return err
	}
	return fmt.Errorf("%w: decision on %s: %w", events.ErrUnavailable, w.d.Topic, err)
}
