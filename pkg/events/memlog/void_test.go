package memlog_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// cutShort is a context that ends once it has been asked a number of times, so
// that a call can be cut off between two of its steps.
type cutShort struct {
	context.Context
	left int // questions until it ends, 0: it does not
}

func (c *cutShort) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }

func (c *cutShort) Err() error {
	if c.left == 1 {
		return context.Canceled
	}
	if c.left > 1 {
		c.left--
	}
	return nil
}

// TestVoidThatArrivesLate: the first attempt gets no answer and arrives while the
// second is under way, which is refused therefore; then nothing can be read any
// more. What was stored must not be reported as not stored, wherever it is cut off.
func TestVoidThatArrivesLate(t *testing.T) {
	for left := 1; left < 12; left++ {
		log, err := memlog.New(memlog.Config{Streams: 1})
		if err != nil {
			t.Fatal(err)
		}
		w := events.Workflow{Namespace: "n", ID: "w"}
		log.Put(0, w.Subject(), nil, []byte("foreign"))
		r := events.VoidRequest{Workflow: w, CommitID: "mine"}
		ctx := &cutShort{Context: t.Context()}
		attempts := 0
		mine := log.Open(memlog.Config{Hook: func(memlog.Op) (bool, error) {
			if attempts++; attempts == 1 {
				return false, errLost
			}
			if attempts == 2 {
				if _, err := log.Void(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				ctx.left = left
			}
			return true, nil
		}})
		res, err := mine.Void(ctx, r)
		if err == nil && res.Existed {
			continue
		}
		var unknown *events.OutcomeUnknownError
		if !errors.As(err, &unknown) || unknown.CommitID != r.CommitID {
			t.Errorf("cut off after %d steps: %+v, %v (%T); it is stored", left, res, err, err)
		}
	}
}

// TestVoidThatIsCutShort: nothing was sent, and the error says so.
func TestVoidThatIsCutShort(t *testing.T) {
	log, err := memlog.New(memlog.Config{Streams: 1})
	if err != nil {
		t.Fatal(err)
	}
	w := events.Workflow{Namespace: "n", ID: "w"}
	log.Put(0, w.Subject(), nil, []byte("foreign"))
	for left := 1; left < 4; left++ {
		_, err := log.Void(&cutShort{Context: t.Context(), left: left}, events.VoidRequest{Workflow: w})
		if !errors.Is(err, events.ErrUnavailable) || errors.Is(err, events.ErrOutcomeUnknown) {
			t.Errorf("cut short after %d steps: %v (%T), want that the log was unavailable", left, err, err)
		}
	}
}
