package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/annals-io/annals/internal/waitfor"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// waiting is a request whose answer must include something.
type waiting interface {
	GetWaitFor() string
	GetWaitTimeout() *durationpb.Duration
}

// include is what the request asks its answer to include. Positions are taken to
// be of this log: tables of another one are refused.
func (s *queryService) include(ctx context.Context, r waiting) (pgstore.Include, error) {
	timeout := s.waitTimeout
	if d := r.GetWaitTimeout(); d != nil {
		if err := d.CheckValid(); err != nil {
			return pgstore.Include{}, invalidf("waitTimeout", "is no duration: %v", err)
		}
		if timeout = d.AsDuration(); timeout < 0 {
			return pgstore.Include{}, invalidf("waitTimeout", "is %s, less than nothing", timeout)
		}
	}
	if r.GetWaitFor() == "" {
		return pgstore.Include{}, nil
	}
	id := s.log.Identity()
	if id.Map.Partitions() == 0 { // which ones it has is not known before it is open
		_, err := s.log.Bounds(ctx, 0)
		return pgstore.Include{}, fmt.Errorf("wait for %.40q: %w", r.GetWaitFor(), cmp.Or(err, events.ErrUnavailable))
	}
	v, now, err := waitfor.Parse(r.GetWaitFor())
	if err == nil {
		err = v.Within(id.Map.Partitions())
	}
	if err == nil {
		v, err = v.Bind(id)
	}
	var invalid *events.InvalidError
	switch {
	case errors.As(err, &invalid):
		return pgstore.Include{}, &events.InvalidError{Field: "waitFor", Reason: invalid.Reason}
	case err != nil:
		return pgstore.Include{}, fmt.Errorf("waitFor: %w", err)
	}
	began := time.Now()
	if now {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		end, err := projection.End(ctx, s.log)
		if err != nil {
			return pgstore.Include{}, err
		}
		if v, err = v.Merge(end); err != nil {
			return pgstore.Include{}, err
		}
	}
	return pgstore.Include{Vector: v, Wait: max(timeout-time.Since(began), 0)}, nil
}
