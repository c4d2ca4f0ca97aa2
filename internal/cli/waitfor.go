package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// reading is what a command that reads the tables waits for first.
type reading struct {
	waitFor []string
	wait    time.Duration
}

// waitForNow is the end of the log when the command begins.
const waitForNow = "now"

// waitFlags adds --wait-for and --wait.
func waitFlags(c *cobra.Command) *reading {
	var r reading
	c.Flags().StringSliceVar(&r.waitFor, "wait-for", nil, "wait until the tables include the log up to `POSITION|now`: positions as append prints them, or the log's end as it is")
	c.Flags().DurationVar(&r.wait, "wait", 30*time.Second, "how long to wait for that")
	_ = c.RegisterFlagCompletionFunc("wait-for", cobra.FixedCompletions([]string{waitForNow}, cobra.ShellCompDirectiveNoFileComp))
	return &r
}

// read gives the tables once they include what was asked for.
func (a *app) read(ctx context.Context, r *reading) (*pgstore.Store, error) {
	positions, now, err := r.positions()
	if err != nil {
		return nil, err
	}
	if r.wait < 0 {
		return nil, usagef("--wait is %s", r.wait)
	}
	pool, err := a.postgres(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.servers.Ping(ctx, pool); err != nil {
		return nil, err
	}
	store, err := pgstore.New(pool, pgstore.Config{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.wait)
	defer cancel()
	if now {
		ends, err := a.ends(ctx)
		if err != nil {
			return nil, err
		}
		positions = append(positions, ends...)
	}
	if len(positions) == 0 {
		return store, nil
	}
	return store, store.WaitFor(ctx, positions)
}

// ends are the last positions of all partitions.
func (a *app) ends(ctx context.Context) ([]events.Position, error) {
	log, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	ends := make([]events.Position, log.Identity().Map.Partitions())
	for i := range ends {
		p := events.Partition(i)
		b, err := log.Bounds(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("find the end of partition %d: %w", p, err)
		}
		ends[i] = events.Position{Partition: p, Sequence: b.Last}
	}
	return ends, nil
}

// positions are those that were named, and whether the log's end is wanted too.
func (r *reading) positions() (list []events.Position, now bool, err error) {
	for _, s := range r.waitFor {
		if s == waitForNow {
			now = true
			continue
		}
		p, err := parsePosition(s)
		if err != nil {
			return nil, false, usagef("--wait-for is %q, want %s or a position like 3:1042", s, waitForNow)
		}
		list = append(list, p)
	}
	return list, now, nil
}

// parsePosition reads PARTITION:SEQUENCE.
func parsePosition(s string) (events.Position, error) {
	partition, sequence, ok := strings.Cut(s, ":")
	if !ok {
		return events.Position{}, errors.New("no colon")
	}
	p, err := strconv.ParseUint(partition, 10, 15)
	if err != nil {
		return events.Position{}, err
	}
	n, err := strconv.ParseUint(sequence, 10, 63)
	if err != nil {
		return events.Position{}, err
	}
	return events.Position{Partition: events.Partition(p), Sequence: n}, nil
}

// queryFlags are the flags that fields of a query come from.
var queryFlags = map[string]string{
	"orderBy": "--order-by", "limit": "--limit", "offset": "--offset", "pageToken": "--page-token", "groupBy": "--group-by", "namespace": "--namespace",
}

// queryFault names the flag that a refused query comes from; a filter's fault is
// shown in its place.
func queryFault(err error) error {
	var f *pgstore.FilterError
	if errors.As(err, &f) {
		return usagef("--query: %s\n\n  %s\n", f.Reason, strings.ReplaceAll(f.Pointer(), "\n", "\n  "))
	}
	var field *events.InvalidError
	if errors.As(err, &field) && queryFlags[field.Field] != "" {
		return usagef("%s: %s", queryFlags[field.Field], field.Reason)
	}
	if errors.Is(err, pgstore.ErrNotFound) {
		return &noError{err}
	}
	return err
}
