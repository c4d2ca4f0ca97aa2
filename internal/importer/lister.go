package importer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/annals-io/annals/internal/temporal"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/replay"
)

// list finds runs, until the context ends: those that are open in the log, those of
// the whole list, and then again and again those that began or ended lately.
func (f *following) list(ctx context.Context) error {
	if err := f.openInLog(ctx); err != nil {
		return err
	}
	var whole time.Time // when the whole list was taken last
	tries := 0          // in vain
	for {
		query, began := f.query, time.Now()
		all := f.newest.IsZero() || began.Sub(whole) >= f.how.Whole
		if !all {
			query = lately(f.query, f.newest.Add(-f.how.Overlap))
		}
		taken, err := f.take(ctx, query)
		wait := f.how.pause(time.Since(began))
		switch {
		case err == nil:
			tries = 0
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !isServers(err) || endsFollowing(err):
			return err
		default:
			if tries++; tries == 1 {
				f.how.Logger.Warn("the server's list cannot be taken now: it is asked again until it can", slog.Any("reason", err))
			}
			wait = max(f.how.Every, min(longestSleep, time.Second<<min(tries, 6)))
		}
		if all && taken {
			whole = began
		}
		f.standing()
		pause := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			pause.Stop()
			return context.Cause(ctx)
		case <-pause.C:
		}
	}
}

// longestPause bounds how much less often a list is asked for that is long to make.
const longestPause = time.Minute

// pause is how long the list is left alone after one that took so long: one that is
// long to make is not asked for all the time. How long it took says little where the
// server was away meanwhile.
func (c FollowConfig) pause(took time.Duration) time.Duration {
	return max(c.Every, min(3*took, longestPause))
}

// lately is the query for those of its runs that began or ended since. The times are
// those of the server: no other clock is asked.
func lately(query string, since time.Time) string {
	recent := fmt.Sprintf("(StartTime >= '%[1]s' OR CloseTime >= '%[1]s')", since.UTC().Format(time.RFC3339Nano))
	if strings.TrimSpace(query) == "" {
		return recent
	}
	return "(" + query + ") AND " + recent
}

// take lists runs and puts those into their lanes that were not seen before. It says
// whether it could: else the next list has them.
func (f *following) take(ctx context.Context, query string) (taken bool, err error) {
	l, err := lanesOf(ctx, f.server, query)
	if errors.Is(err, temporal.ErrToken) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if l.newest.After(f.newest) {
		f.newest = l.newest
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, lane := range l.lanes {
		for _, r := range lane.runs {
			f.offer(lane.workflow, r)
		}
	}
	return true, nil
}

// openInLog has the runs taken further that are open in the log: an import ended
// before they did, and the query may not be true of them any more.
func (f *following) openInLog(ctx context.Context) error {
	var runs []replay.ListedRun
	if err := again(ctx, func(context.Context) (err error) {
		runs, err = replay.Runs(ctx, f.source, replay.RunFilter{Namespace: f.config.Namespace})
		return err
	}); err != nil {
		return fmt.Errorf("which runs are open in the log: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range runs {
		f.offer(r.Workflow.ID, &served{id: events.RunID(r.Run), ours: true})
	}
	return nil
}

func (f *following) standing() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.how.Standing(f.open, f.queues[ready].Len())
}
