package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/internal/bench/raw"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// streams is how many streams the log has that is written to: the default.
const streams events.Partition = 16

// AppendCase is one way to append.
type AppendCase struct {
	Writers  int // each has a workflow of its own, and waits for each acknowledgement
	Events   int // of a commit, about 220 bytes each
	Replicas int
	Fsync    string
}

// String is the case's name.
func (c AppendCase) String() string {
	return fmt.Sprintf("append/writers=%d/events=%d/replicas=%d/fsync=%s", c.Writers, c.Events, c.Replicas, c.Fsync)
}

// AppendCases are all that there are, those of the same servers together.
func AppendCases() (cases []AppendCase) {
	for _, replicas := range []int{1, 3} {
		for _, fsync := range []string{FsyncDefault, FsyncAlways} {
			cases = append(cases, appendCases(replicas, fsync)...)
		}
	}
	return cases
}

func appendCases(replicas int, fsync string) (cases []AppendCase) {
	for _, writers := range []int{1, 64, 256} {
		for _, count := range []int{1, 10} {
			cases = append(cases, AppendCase{writers, count, replicas, fsync})
		}
	}
	return cases
}

// AppendOptions say what is measured, and on what.
type AppendOptions struct {
	// Filter keeps the cases whose names it matches; nil: all.
	Filter *regexp.Regexp
	// Duration is how long each side of a case is measured; 5 s.
	Duration time.Duration
	// Within, if set, ends all of it after about this long, whatever Duration
	// says: each case gets its share of what is left.
	Within time.Duration
	// Connect, if set, reaches the server to measure on. It must hold no log;
	// the one that is made there is deleted in the end.
	Connect func() (*nats.Conn, error)
	// Logger gets the warnings of our own servers.
	Logger *slog.Logger
}

const (
	rounds      = 20
	quickRounds = 3
	// startTime is about what it takes to start servers and to create the log.
	startTime = 1500 * time.Millisecond
	// leastSlice is the shortest useful round of a side.
	leastSlice = 5 * time.Millisecond
)

// Append measures conditional appends beside conditional publishes of the same
// messages, and gives each case when it is done.
func Append(ctx context.Context, o AppendOptions, each func(Result) error) error {
	cases := AppendCases()
	if o.Connect != nil {
		cases = append(appendCases(1, FsyncServer), appendCases(3, FsyncServer)...)
	}
	var groups [][]AppendCase // by their servers
	left := 0
	for _, c := range cases {
		if o.Filter != nil && !o.Filter.MatchString(c.String()) {
			continue
		}
		left++
		if n := len(groups); n > 0 && groups[n-1][0].setting() == c.setting() {
			groups[n-1] = append(groups[n-1], c)
		} else {
			groups = append(groups, []AppendCase{c})
		}
	}
	if left == 0 {
		return fmt.Errorf("%w: %s matches none of %s, …", ErrNoCase, o.Filter, cases[0])
	}
	if o.Duration == 0 {
		o.Duration = 5 * time.Second
	}
	end := time.Now().Add(o.Within)
	for i, group := range groups {
		err := onServers(ctx, group[0].setting(), o, func(s *servers, log *natslog.Log) error {
			for _, c := range group {
				length, n := o.Duration, rounds
				if o.Within != 0 {
					// Both sides, and a round of each to warm up.
					share := (time.Until(end) - time.Duration(len(groups)-1-i)*startTime) / time.Duration(left)
					if n = quickRounds; share < time.Duration(4*n)*leastSlice {
						n = 1 // there is no time left
					}
					rounds := time.Duration(n)
					length = max(min(length, share/2*rounds/(rounds+1)), leastSlice*rounds)
				}
				left--
				r, err := appendCase(ctx, c, s, log, length, n)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err != nil {
					return fmt.Errorf("%s: %w", c, err)
				}
				if err := each(r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx) // and not of the requests that it ended
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c AppendCase) setting() setting { return setting{c.Replicas, c.Fsync} }

// onServers creates a log on servers with this setting.
func onServers(ctx context.Context, of setting, o AppendOptions, do func(*servers, *natslog.Log) error) (err error) {
	var s *servers
	if o.Connect != nil {
		s, err = given(ctx, o.Connect)
	} else {
		s, err = start(ctx, of, o.Logger)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if _, err := natslog.Create(ctx, s.js, natslog.CreateOptions{Streams: int(streams), Replicas: of.replicas}); err != nil {
		return err
	}
	// A writer keeps to one run, for longer than a run may last.
	endless := events.Limits{WarnEvents: math.MaxInt64, MaxEvents: math.MaxInt64, WarnBytes: math.MaxInt64, MaxBytes: math.MaxInt64}
	log, err := natslog.Open(ctx, s.js, natslog.Config{Limits: endless, Logger: o.Logger})
	if err != nil {
		return err
	}
	return do(s, log)
}

// workflows counts those that were used, so that each is new.
var workflows atomic.Int64

func newWorkflow() events.Workflow {
	return events.Workflow{Namespace: "default", ID: fmt.Sprintf("order-%08d", workflows.Add(1))}
}

func appendCase(ctx context.Context, c AppendCase, s *servers, log *natslog.Log, length time.Duration, rounds int) (Result, error) {
	header, body, err := sample(ctx, log, c.Events)
	if err != nil {
		return Result{}, err
	}
	ours, theirs := make([]operation, c.Writers), make([]operation, c.Writers)
	for i := range c.Writers {
		ours[i] = (&writer{log: log, w: newWorkflow(), events: c.Events}).append
		theirs[i] = raw.NewPublisher(s.js, newWorkflow().Subject(), header, body).Publish
	}
	o, r, err := turns(ctx, length, rounds, ours, theirs)
	if err != nil {
		return Result{}, err
	}
	return rates(c.String(), "commits/s", o, r), nil
}

// writer appends to one workflow after what it appended before.
type writer struct {
	log    *natslog.Log
	w      events.Workflow
	events int
	at     events.Cursor
}

func (w *writer) append(ctx context.Context) error {
	r := events.Request{Workflow: w.w, Expect: events.After(w.at)}
	if w.at.IsZero() {
		r.Expect = events.NewRun()
		r.Events = append(r.Events, events.WorkflowStarted("Order", "orders"))
	}
	now := timestamppb.Now()
	for len(r.Events) < w.events {
		id := int64(w.at.LastEventID()) + int64(len(r.Events)) + 1
		r.Events = append(r.Events, &events.Event{EventId: id, EventTime: now, EventType: template.EventType, Attributes: template.Attributes})
	}
	res, err := w.log.Append(ctx, r)
	w.at = res.Cursor
	return err
}

// eventBytes is the size of the events that are appended.
const eventBytes = 220

// template is an event of that size once it has an id and a time.
var template = func() *events.Event {
	for n := 0; ; n++ {
		e := events.Signaled(strings.Repeat("x", n))
		e.EventId, e.EventTime = 1000, timestamppb.New(time.Unix(1_800_000_000, 987_654_321))
		if proto.Size(e) >= eventBytes {
			return e
		}
	}
}()

// sample gives the header and the body of a commit as writers append it, for raw
// to publish: that of a workflow that has some commits before it.
func sample(ctx context.Context, log *natslog.Log, count int) (nats.Header, []byte, error) {
	w := writer{log: log, w: newWorkflow(), events: count}
	for range 2 * events.MaxBack {
		if err := w.append(ctx); err != nil {
			return nil, nil, err
		}
	}
	m, err := log.Message(ctx, w.at.Position())
	if err != nil {
		return nil, nil, err
	}
	return nats.Header(m.Header), m.Body, nil
}
