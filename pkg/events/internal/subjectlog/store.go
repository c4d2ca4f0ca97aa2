// Package subjectlog is the algorithm of a log of commits over any store that
// keeps messages by subject with compare-and-set: what is sent, what each
// answer means, and how a history is found and checked. The logs in memory and
// on JetStream are this package over two stores.
package subjectlog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// Store keeps messages: one order a partition, a compare-and-set a subject.
type Store interface {
	// Publish stores the message if the last one of its subject has the
	// expected sequence (0: there is none), and returns its sequence. Its
	// errors say what is known: ErrMoved, ErrBusy, *RejectedError, ErrNotSent,
	// ErrClosed and events.ErrWrongLog mean that this attempt was not stored
	// and never will be; any other one, that it may have been or may yet be.
	Publish(ctx context.Context, m Outgoing) (uint64, error)
	// Last is the last message of a subject, as the leader knows it, or ErrNone.
	Last(ctx context.Context, p events.Partition, subject string) (events.Message, error)
	// Next is the first message of a subject with at least this sequence, as
	// the leader knows it, or ErrNone.
	Next(ctx context.Context, p events.Partition, subject string, from uint64) (events.Message, error)
	// Get is the message at a position as the leader knows it, or ErrNone.
	Get(ctx context.Context, p events.Position) (events.Message, error)
	// Fetch asks whoever keeps the partition for the messages at these sequences, in
	// their order and without waiting for answers in between, and hands on what comes,
	// in any order; take says what else to ask for. A message that is not there, or does
	// not come in time, is left out: that proves nothing.
	Fetch(ctx context.Context, p events.Partition, seqs []uint64, take func(events.Message) (more []uint64)) error
	// Scan yields the messages of a subject in [from, to], both of which the
	// subject has or had. It yields all of them or an error. About how many there
	// are, if that is known, says how they are best read; 0: it is not known.
	Scan(ctx context.Context, p events.Partition, subject string, from, to uint64, about int) iter.Seq2[events.Message, error]
	// OldLeader is how long a server may go on answering Publish (by ErrMoved), Last,
	// Next and Get as the leader of a partition that it was, from when another one
	// leads; 0 where there is only one server.
	OldLeader(ctx context.Context, p events.Partition) (time.Duration, error)
	// Generation changes whenever what was stored may have been exchanged for
	// something else, e.g. after a reconnect.
	Generation() uint64
}

// Outgoing is a message to be stored.
type Outgoing struct {
	CommitID  events.CommitID
	Partition events.Partition
	Subject   string
	Header    events.Header
	Body      []byte
	Expected  uint64 // the sequence of the subject's last message, 0 for none; Header says it too
	// Until ends the attempt if its context does not before; zero: only that does.
	Until time.Time
	// Unanswered is how many attempts at this message before had no answer in time:
	// the store waits the longer for one.
	Unanswered int
}

// Missed counts an attempt that ended so, if it ended because the time was up.
func (m *Outgoing) Missed(err error) {
	if errors.Is(err, context.DeadlineExceeded) {
		m.Unanswered++
	}
}

var (
	// ErrMoved: the subject's last message is another one than expected. This
	// attempt was not stored and never will be, nor will any other with the same
	// expectation that is still on its way, if a message is found behind it: an old
	// leader refuses what expects a message that it has not got.
	ErrMoved = errors.New("the subject has moved")
	// ErrBusy: something is in flight on the subject, perhaps an earlier
	// attempt. This attempt was not stored.
	ErrBusy = errors.New("the subject has a message in flight")
	// ErrNotSent: the message never left.
	ErrNotSent = errors.New("not sent")
	// ErrClosed: the store is closed for good. This attempt was not stored.
	ErrClosed = errors.New("closed")
	// ErrNone: there is no such message.
	ErrNone = errors.New("no message")
)

// RejectedError is the store's refusal of a message for good: too large, no
// room. This attempt was not stored.
type RejectedError struct{ Reason string }

func (e *RejectedError) Error() string { return fmt.Sprintf("rejected: %s", e.Reason) }
