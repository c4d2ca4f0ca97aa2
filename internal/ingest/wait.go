package ingest

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/annals-io/annals/pkg/events"
)

// waiting is a request that waits for the tables first.
type waiting interface {
	GetWaitFor() string
	GetWaitTimeout() *durationpb.Duration
}

// waitForNow is the end of the log when the call begins.
const waitForNow = "now"

// wait returns once the tables include what the request asks for.
func (s *queryService) wait(ctx context.Context, r waiting) error {
	timeout := s.waitTimeout
	if d := r.GetWaitTimeout(); d != nil {
		if err := d.CheckValid(); err != nil {
			return invalidf("waitTimeout", "is no duration: %v", err)
		}
		if timeout = d.AsDuration(); timeout < 0 {
			return invalidf("waitTimeout", "is %s, less than nothing", timeout)
		}
	}
	if r.GetWaitFor() == "" {
		return nil
	}
	partitions := s.log.Identity().Map.Partitions()
	if partitions == 0 { // which ones it has is not known before it is open
		_, err := s.log.Bounds(ctx, 0)
		return fmt.Errorf("wait for %.40q: %w", r.GetWaitFor(), cmp.Or(err, events.ErrUnavailable))
	}
	positions, now, err := parsePositions(r.GetWaitFor(), partitions)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if now {
		ends, err := s.ends(ctx)
		if err != nil {
			return err
		}
		positions = append(positions, ends...)
	}
	return s.tables.WaitFor(ctx, positions)
}

// ends are the last positions of all partitions.
func (s *queryService) ends(ctx context.Context) ([]events.Position, error) {
	ends := make([]events.Position, s.log.Identity().Map.Partitions())
	g, ctx := errgroup.WithContext(ctx)
	for i := range ends {
		g.Go(func() error {
			b, err := s.log.Bounds(ctx, events.Partition(i))
			ends[i] = events.Position{Partition: events.Partition(i), Sequence: b.Last}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("find the end of the log: %w", err)
	}
	return ends, nil
}

// parsePositions reads positions of a log with so many partitions, separated by
// commas, and whether the log's end is wanted too.
func parsePositions(text string, partitions int) (list []events.Position, now bool, err error) {
	if text == "" {
		return nil, false, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == waitForNow {
			now = true
			continue
		}
		before, after, _ := strings.Cut(part, ":")
		p, perr := strconv.ParseUint(before, 10, 15)
		n, serr := strconv.ParseUint(after, 10, 63)
		if perr != nil || serr != nil {
			return nil, false, invalidf("waitFor", "holds %.40q, want %s or a position like 3:1042", part, waitForNow)
		}
		if p >= uint64(partitions) {
			return nil, false, invalidf("waitFor", "holds %s, and the log has partitions 0 to %d", part, partitions-1)
		}
		list = append(list, events.Position{Partition: events.Partition(p), Sequence: n})
	}
	return list, now, nil
}
