package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/internal/waitfor"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// reading is what a command that reads the tables waits for first.
type reading struct {
	waitFor []string
	wait    time.Duration
}

// waitFlags adds --wait-for and --wait.
func waitFlags(c *cobra.Command) *reading {
	var r reading
	c.Flags().StringSliceVar(&r.waitFor, "wait-for", nil, "answer from tables that include the log up to `POSITION|VECTOR|now`: as append prints them, or the log's end as it is")
	c.Flags().DurationVar(&r.wait, "wait", 30*time.Second, "how long to wait for that")
	_ = c.RegisterFlagCompletionFunc("wait-for", cobra.FixedCompletions([]string{waitfor.Now}, cobra.ShellCompDirectiveNoFileComp))
	return &r
}

// read gives the tables, and what the answer must include.
func (a *app) read(ctx context.Context, r *reading) (*pgstore.Store, pgstore.Include, error) {
	v, now, err := waitfor.Parse(r.waitFor...)
	var invalid *events.InvalidError
	if errors.As(err, &invalid) {
		return nil, pgstore.Include{}, usagef("--wait-for: %s", invalid.Reason)
	}
	if err != nil {
		return nil, pgstore.Include{}, usagef("--wait-for: %v", err)
	}
	if r.wait < 0 {
		return nil, pgstore.Include{}, usagef("--wait is %s", r.wait)
	}
	pool, err := a.postgres(ctx)
	if err != nil {
		return nil, pgstore.Include{}, err
	}
	if err := a.servers.Ping(ctx, pool); err != nil {
		return nil, pgstore.Include{}, err
	}
	store, err := pgstore.New(pool, pgstore.Config{})
	if err != nil {
		return nil, pgstore.Include{}, err
	}
	if !now {
		return store, pgstore.Include{Vector: v, Wait: r.wait}, nil
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.wait)
	defer cancel()
	log, err := a.open(ctx)
	if err != nil {
		return nil, pgstore.Include{}, err
	}
	end, err := projection.End(ctx, log)
	if err == nil {
		v, err = v.Merge(end)
	}
	return store, pgstore.Include{Vector: v, Wait: max(r.wait-time.Since(began), 0)}, err
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

// warnOfLacking says what an answer may lack of what it was to include.
func (a *app) warnOfLacking(l *pgstore.Lacking) {
	if l == nil {
		return
	}
	var names []string
	for _, w := range l.Workflows {
		name := w.WorkflowID
		if name == "" {
			name = "a gap of the log"
		}
		names = append(names, name+" from "+w.Position+" on")
	}
	if more := l.Total - int64(len(names)); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	fmt.Fprintf(a.err, "The answer may lack what is quarantined: %s. See annals projection quarantine.\n", strings.Join(names, ", "))
}
