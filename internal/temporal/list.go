package temporal

import (
	"bytes"
	"context"
	"iter"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc/status"
)

// mostRuns is how many runs a page of a list has: the most that a server gives.
// fewestRuns is how many it has at least where that is more than the server can do: some
// read their own tables for each run of a page, so that a page may need more reads than
// they ever allow at once, and is refused for ever (one with
// system.forceSearchAttributesCacheRefreshOnRead, as development servers have it,
// reads twice for each run, and allows 2,000 reads a second).
const (
	mostRuns   = 1000
	fewestRuns = 50
)

// Run is a run as the server's list tells of it.
type Run struct {
	Workflow, ID string
	Began        time.Time // when the run came to be: of one that a reset began that moment, not its start event's
	Closed       time.Time // zero: open
}

// Probe asks for one run that a query is true of, without waiting longer than
// patience for a server that does not answer: whether all is as it should be.
func (s *Server) Probe(ctx context.Context, query string, patience time.Duration) error {
	_, err := s.list(ctx, query, nil, 1, patience)
	return err
}

// List yields the runs that a query in Temporal's list filter is true of, in the
// server's order. The list may lag behind the runs, and a run may be there twice, or
// be missing, that changes meanwhile: the server gives no snapshot.
func (s *Server) List(ctx context.Context, query string) iter.Seq2[Run, error] {
	return func(yield func(Run, error) bool) {
		var token []byte
		for {
			page, err := s.list(ctx, query, token, mostRuns, s.config.Patience)
			if err != nil {
				yield(Run{}, err)
				return
			}
			for _, x := range page.Executions {
				r := Run{Workflow: x.GetExecution().GetWorkflowId(), ID: x.GetExecution().GetRunId(), Began: x.GetStartTime().AsTime()}
				if x.GetCloseTime() != nil {
					r.Closed = x.GetCloseTime().AsTime()
				}
				if !yield(r, nil) {
					return
				}
			}
			if len(page.NextPageToken) == 0 {
				return
			}
			if len(page.Executions) == 0 && bytes.Equal(token, page.NextPageToken) {
				yield(Run{}, &Error{Kind: ErrRefused, Call: "list runs", Message: "it gives the same empty page again and again"})
				return
			}
			token = page.NextPageToken
		}
	}
}

func (s *Server) list(ctx context.Context, query string, token []byte, most int32, patience time.Duration) (page *workflowservice.ListWorkflowExecutionsResponse, err error) {
	a := aboutRuns
	if token != nil {
		a = aboutPage
	}
	err = s.call(ctx, "list runs", a, patience, func(ctx context.Context) (err error) {
		n := min(most, s.page.Load())
		page, err = s.service.ListWorkflowExecutions(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Namespace: s.config.Namespace, Query: query, PageSize: n, NextPageToken: token,
		})
		if exceedsReads(status.Convert(err)) {
			s.page.CompareAndSwap(n, max(n/2, fewestRuns))
		}
		return err
	})
	return page, err
}
