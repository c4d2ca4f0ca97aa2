package replay

import (
	"context"
	"iter"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/annals-io/annals/pkg/events"
)

// Run names a run of a workflow. An empty RunID is the newest one.
type Run struct {
	Workflow events.Workflow
	RunID    events.RunID
}

// History is the whole history of one run.
type History struct {
	// Workflow is as it was asked for; RunID is the run's, also where the newest was.
	Workflow events.Workflow
	RunID    events.RunID
	Events   []*events.Event
	// End is the end of the workflow up to which the history was read: what is decided
	// on it is appended with events.After(End), if the run is the newest.
	End events.Cursor
}

// HistoriesOptions bound what is under way. Zero fields mean the default.
type HistoriesOptions struct {
	// Concurrency is how many histories are read at a time; 16.
	Concurrency int
	// Bytes bound the events of histories that are being read, or are read and not yet
	// yielded, as the log counts them (decoded they take several times as much); 64 MiB.
	// A history that is larger is read while no other one is, as is a run that is not
	// the newest, whose size nobody tells beforehand.
	Bytes int64
}

func (o HistoriesOptions) withDefaults() HistoriesOptions {
	if o.Concurrency <= 0 {
		o.Concurrency = 16
	}
	if o.Bytes <= 0 {
		o.Bytes = 64 << 20
	}
	return o
}

// Histories reads many histories at once: those of the workflows that a worker had
// open when it was stopped, say. Each run is yielded exactly once, when all of it is
// there, with its history or with the error that its read ended with, which ends no
// other: then Workflow and RunID are as they were asked for. They come in any order.
// Once the context has ended its error is that of every run that is left. No
// goroutine outlives the iteration, however it ends.
func Histories(ctx context.Context, log events.Reader, runs []Run, o HistoriesOptions) iter.Seq2[History, error] {
	o = o.withDefaults()
	return func(yield func(History, error) bool) {
		reading, stop := context.WithCancel(ctx)
		var readers sync.WaitGroup
		defer readers.Wait()
		defer stop()
		h := histories{log: log, bytes: o.Bytes, room: semaphore.NewWeighted(o.Bytes)}
		left := make(chan struct{}) // nobody takes any more
		defer close(left)
		next, done := make(chan Run), make(chan outcome)
		readers.Go(func() {
			defer close(next)
			for _, run := range runs {
				select {
				case next <- run:
				case <-left:
					return
				}
			}
		})
		for range min(o.Concurrency, len(runs)) {
			readers.Go(func() {
				for run := range next {
					select {
					case done <- h.read(reading, run):
					case <-left:
						return
					}
				}
			})
		}
		for range runs {
			got := <-done
			more := yield(got.History, got.err)
			h.room.Release(got.held)
			if !more {
				return
			}
		}
	}
}

// histories is one Histories under way.
type histories struct {
	log   events.Reader
	bytes int64
	room  *semaphore.Weighted // of bytes
}

// outcome is what became of one run, and how much room it holds until it is taken.
type outcome struct {
	History
	err  error
	held int64
}

func (h *histories) read(ctx context.Context, run Run) (got outcome) {
	got.Workflow, got.RunID = run.Workflow, run.RunID
	if got.err = context.Cause(ctx); got.err != nil {
		return got
	}
	end, err := h.log.Tail(ctx, run.Workflow)
	if err != nil {
		got.err = err
		return got
	}
	need := h.bytes
	if run.RunID == "" || run.RunID == end.Run() {
		need = min(end.Size(), h.bytes)
	}
	if got.err = h.room.Acquire(ctx, need); got.err != nil {
		got.err = context.Cause(ctx)
		return got
	}
	got.held = need
	var all []*events.Event
	for e, err := range h.log.Read(ctx, run.Workflow, events.ReadOptions{Run: run.RunID, Until: end}) {
		if err != nil {
			got.err = err
			return got
		}
		all = append(all, e)
	}
	got.Events, got.End = all, end
	if got.RunID == "" {
		got.RunID = end.Run()
	}
	return got
}
