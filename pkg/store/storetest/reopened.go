package storetest

import (
	"context"
	"iter"
	"sync"
	"testing"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/store"
)

// Reopened is the harness whose handles are opened anew for each call, as by a
// program that is started again after each step. What one knew of its own writes
// is handed on as a program would: by their vectors.
func Reopened(h Harness) Harness {
	open := h.Open
	h.Open = func(t testing.TB, o Options) store.Store {
		return &reopened{open: func() store.Store { return open(t, o) }}
	}
	h.Short = true
	return h
}

type reopened struct {
	open func() store.Store

	mu    sync.Mutex // guards wrote
	wrote events.Vector
}

func (r *reopened) keep(res events.Result, err error) (events.Result, error) {
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.wrote, err = r.wrote.Merge(res.Vector()); err != nil {
			return events.Result{}, err
		}
	}
	return res, err
}

func (r *reopened) SaveExecution(ctx context.Context, n store.NewExecution) (events.Result, error) {
	return r.keep(r.open().SaveExecution(ctx, n))
}

func (r *reopened) AppendEvents(ctx context.Context, q events.Request) (events.Result, error) {
	return r.keep(r.open().AppendEvents(ctx, q))
}

func (r *reopened) UpdateState(ctx context.Context, u store.StateUpdate) (events.Result, error) {
	return r.keep(r.open().UpdateState(ctx, u))
}

func (r *reopened) SaveActivityHeartbeat(ctx context.Context, h events.Heartbeat) (bool, error) {
	return r.open().SaveActivityHeartbeat(ctx, h)
}

func (r *reopened) LoadExecution(ctx context.Context, w events.Workflow, run events.RunID) (store.Loaded, error) {
	return r.open().LoadExecution(ctx, w, run)
}

func (r *reopened) History(ctx context.Context, w events.Workflow, o events.ReadOptions) iter.Seq2[*events.Event, error] {
	return r.open().History(ctx, w, o)
}

func (r *reopened) LastActivityHeartbeat(ctx context.Context, a events.Activity) (events.Heartbeat, error) {
	return r.open().LastActivityHeartbeat(ctx, a)
}

func (r *reopened) Query(ctx context.Context, q store.Query) ([]store.Execution, error) {
	r.mu.Lock()
	wrote := r.wrote
	r.mu.Unlock()
	var err error
	if q.After, err = q.After.Merge(wrote); err != nil {
		return nil, err
	}
	return r.open().Query(ctx, q)
}
