package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
	"github.com/annals-io/annals/pkg/execution"
)

// watchFlags are what the command line says of a watch.
type watchFlags struct {
	workflow      string
	allNamespaces bool
	fromStart     bool
	untilEnd      bool
	limit         int
}

func watchCommand(a *app) *cobra.Command {
	var f watchFlags
	c := &cobra.Command{
		Use:   "watch",
		Short: "Print events as they are appended",
		Long: `Prints the events of one workflow, or of all in the namespace, as they are appended, straight from the log:
in order for each workflow, and in no order between workflows. It goes on until it is interrupted, unless
--limit or --until-end says otherwise.

What cannot be read is logged and passed over, and --limit and --until-end then end with exit code 3; with
--workflow the watch ends there.`,
		Example: `  annals watch
  annals watch --workflow order-1 --from-start -o jsonl
  annals watch --from-start --until-end -o jsonl | wc -l`,
		Args: cobra.NoArgs,
	}
	flags := c.Flags()
	flags.StringVarP(&f.workflow, "workflow", "w", "", "only this workflow `ID`")
	flags.BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "workflows of all namespaces")
	flags.BoolVar(&f.fromStart, "from-start", false, "begin with what the log has, not with what comes")
	flags.BoolVar(&f.untilEnd, "until-end", false, "end where the log ended when the command began")
	flags.IntVar(&f.limit, "limit", 0, "end after `N` events (default: never)")
	o := outputFlag(c, formatTable, formatJSONL)
	c.RunE = func(c *cobra.Command, _ []string) error {
		switch {
		case f.workflow != "" && f.allNamespaces:
			return usagef("--workflow and --all-namespaces exclude each other")
		case f.limit < 0:
			return usagef("--limit is %d", f.limit)
		}
		log, err := a.open(c.Context())
		if err != nil {
			return err
		}
		w := &watching{app: a, log: log, flags: f, o: o, out: bufio.NewWriter(a.out)}
		err = w.run(c.Context())
		if c.Context().Err() != nil && !f.untilEnd && f.limit == 0 {
			return nil // interrupted: the way to end it
		}
		return err
	}
	return c
}

// watching is a watch under way.
type watching struct {
	*app
	log   events.Log
	flags watchFlags
	o     *output
	out   *bufio.Writer
	left  int

	unread int // commits that could not be read
}

// errLimit ends a watch that has printed enough.
var errLimit = errors.New("limit reached")

func (w *watching) run(ctx context.Context) error {
	follows, err := w.follows(ctx)
	if err != nil {
		return err
	}
	w.left = w.flags.limit
	messages := make(chan events.Message)
	g, gctx := errgroup.WithContext(ctx)
	var readers sync.WaitGroup
	for p, o := range follows {
		readers.Add(1)
		g.Go(func() error {
			defer readers.Done()
			for m, err := range w.log.Follow(gctx, p, o) {
				if err != nil {
					return err
				}
				select {
				case messages <- m:
				case <-gctx.Done():
					return context.Cause(gctx)
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		readers.Wait()
		close(messages)
		return nil
	})
	g.Go(func() error { return w.print(gctx, messages) })
	slog.Info("watching", slog.Int("partitions", len(follows)))
	err = g.Wait()
	if errors.Is(err, errLimit) {
		err = nil
	}
	if err == nil && w.unread > 0 {
		return fmt.Errorf("%s could not be read", plural(int64(w.unread), "commit"))
	}
	return err
}

// passOver goes on after a message that is no commit, unless it is of the only
// workflow that is watched. One that was declared void is nobody's concern.
func (w *watching) passOver(ctx context.Context, m events.Message, err error) error {
	if workflow, parseErr := events.ParseSubject(m.Subject); parseErr == nil {
		if _, not := w.log.Covering(ctx, workflow, m.Position); not == nil {
			return nil
		}
	}
	if w.flags.workflow != "" {
		return err
	}
	w.unread++
	slog.Error("a commit cannot be read: its workflow is corrupt", slog.String("position", m.Position.String()), slog.Any("error", err))
	return nil
}

// follows says which partitions are read, and which part of them.
func (w *watching) follows(ctx context.Context) (map[events.Partition]events.FollowOptions, error) {
	id := w.log.Identity()
	follows := map[events.Partition]events.FollowOptions{}
	if w.flags.workflow != "" {
		one := w.workflow(w.flags.workflow)
		if err := one.Validate(); err != nil {
			return nil, err
		}
		o := events.FollowOptions{Workflow: &one}
		tail, err := w.log.Tail(ctx, one)
		missing := errors.Is(err, events.ErrNotFound)
		if err != nil && !missing {
			return nil, err
		}
		if !w.flags.fromStart {
			o.After = tail.Position().Sequence
		}
		if w.flags.untilEnd {
			if missing || o.After == tail.Position().Sequence {
				return follows, nil
			}
			o.Until = tail.Position().Sequence
		}
		follows[id.Map.Partition(one.Slot())] = o
		return follows, nil
	}
	for p := range events.Partition(id.Map.Partitions()) {
		var o events.FollowOptions
		if !w.flags.fromStart || w.flags.untilEnd {
			b, err := w.log.Bounds(ctx, p)
			if err != nil {
				return nil, err
			}
			if !w.flags.fromStart {
				o.After = b.Last
			}
			if w.flags.untilEnd {
				if b.Last < b.First || o.After == b.Last {
					continue
				}
				o.Until = b.Last
			}
		}
		follows[p] = o
	}
	return follows, nil
}

// print prints messages, and what it has printed is on standard output
// whenever it waits.
func (w *watching) print(ctx context.Context, messages <-chan events.Message) (err error) {
	defer func() { err = errors.Join(err, w.out.Flush()) }()
	for {
		var m events.Message
		var ok bool
		select {
		case m, ok = <-messages:
		default:
			if err := w.out.Flush(); err != nil {
				return err
			}
			select {
			case m, ok = <-messages:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if !ok {
			return nil
		}
		if err := w.message(ctx, m); err != nil {
			return err
		}
	}
}

// watched is a line of `watch -o jsonl`.
type watched struct {
	Position   string          `json:"position"`
	StoredAt   time.Time       `json:"storedAt"`
	Namespace  string          `json:"namespace"`
	WorkflowID string          `json:"workflowId"`
	RunID      events.RunID    `json:"runId"`
	CommitID   events.CommitID `json:"commitId"`
	Event      json.RawMessage `json:"event"`
}

func (w *watching) message(ctx context.Context, m events.Message) error {
	c, err := events.Decode(m)
	if err != nil {
		return w.passOver(ctx, m, err)
	}
	if w.flags.workflow == "" && !w.flags.allNamespaces && c.Workflow.Namespace != w.namespace {
		return nil
	}
	segments, err := c.Segments()
	if err != nil {
		return w.passOver(ctx, m, err)
	}
	for _, s := range segments {
		for _, e := range s.Events {
			if err := w.event(c, s.Run, e); err != nil {
				return err
			}
			if w.left--; w.left == 0 {
				return errLimit
			}
		}
	}
	return nil
}

func (w *watching) event(c *events.Commit, run events.RunID, e *events.Event) error {
	if w.o.is(formatTable) {
		_, err := fmt.Fprintf(w.out, "%-24s  %-10s  %s  %s  %d  %s  %s\n", cell(eventTime(e)), c.Position, cell(c.Workflow.ID), run, e.EventId, e.EventType, cell(execution.EventName(e)))
		return err
	}
	line, err := eventjson.EncodeEvent(e)
	if err != nil {
		return err
	}
	return printLine(w.out, watched{
		Position: c.Position.String(), StoredAt: c.Time.UTC(), Namespace: c.Workflow.Namespace, WorkflowID: c.Workflow.ID,
		RunID: run, CommitID: c.ID, Event: line,
	})
}
