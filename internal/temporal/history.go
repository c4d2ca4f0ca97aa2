package temporal

import (
	"context"
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// historyPage is how many batches of events a page has: the most that a server gives.
const historyPage = 256

// Page is a part of a history.
type Page struct {
	Events []*historypb.HistoryEvent
	// Next is what the page behind is asked for by; empty: there is none, and
	// there will be none if Wait was given.
	Next []byte
	// Full: the server gave as much as a page has, and probably has more.
	Full bool
	// Late: the server did not answer in the time that Wait gives it. Nothing is
	// known of what it has; ask again by Next, and wait longer.
	Late bool
}

// Request says which page.
type Request struct {
	Workflow, Run string
	Token         []byte // of the page before; nil: the first
	// Wait is how long the server is to wait for an event, at the end of an open
	// run; then its page is empty. 0: it does not wait, and there is no page
	// behind the last event that it has. A token is of use only with what it was
	// made with. With a token the answer has to come soon after, or the page is
	// Late; from MaxWait on, the call is one that failed then, as any other.
	Wait time.Duration
}

// waitBuffer is how much sooner than asked a server ends to wait, so that its answer
// comes in time.
const waitBuffer = time.Second

// MaxWait is the longest Wait: the server may take as long for each answer.
const MaxWait = answerTime - waitBuffer

// History gives a page of a run's history.
func (s *Server) History(ctx context.Context, r Request) (Page, error) {
	a, service := aboutRun, s.service
	if r.Wait > 0 {
		service = s.waits
	}
	if r.Token != nil {
		a = aboutEvent
	}
	var page *workflowservice.GetWorkflowExecutionHistoryResponse
	err := s.call(ctx, fmt.Sprintf("history of %s, run %s", r.Workflow, r.Run), a, s.config.Patience, func(ctx context.Context) (err error) {
		// The first page is there: nobody waits for it.
		bound := r.Token != nil && r.Wait > 0 && r.Wait < MaxWait
		if bound {
			bounded, cancel := context.WithTimeout(ctx, r.Wait+waitBuffer)
			defer cancel()
			ctx = bounded
		}
		page, err = service.GetWorkflowExecutionHistory(ctx, &workflowservice.GetWorkflowExecutionHistoryRequest{
			Namespace: s.config.Namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: r.Workflow, RunId: r.Run},
			MaximumPageSize: historyPage, NextPageToken: r.Token, WaitNewEvent: r.Wait > 0, SkipArchival: r.Wait > 0,
			HistoryEventFilterType: enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT,
		})
		if bound && status.Code(err) == codes.DeadlineExceeded {
			return errLate
		}
		return err
	})
	if errors.Is(err, errLate) {
		return Page{Next: r.Token, Late: true}, nil
	}
	if err != nil {
		return Page{}, err
	}
	evs, err := eventsOf(page)
	if err != nil {
		return Page{}, &Error{Kind: ErrRefused, Call: fmt.Sprintf("history of %s, run %s", r.Workflow, r.Run), Message: err.Error()}
	}
	return Page{Events: evs, Next: page.NextPageToken, Full: len(evs) >= historyPage}, nil
}

// eventsOf are the stored events of a page, in whichever form the server is
// configured to send them.
func eventsOf(page *workflowservice.GetWorkflowExecutionHistoryResponse) ([]*historypb.HistoryEvent, error) {
	evs := page.GetHistory().GetEvents()
	for _, blob := range page.GetRawHistory() {
		if blob.GetEncodingType() != enumspb.ENCODING_TYPE_PROTO3 {
			return nil, fmt.Errorf("it sends events as %s, which is not read here", blob.GetEncodingType())
		}
		var h historypb.History
		if err := proto.Unmarshal(blob.GetData(), &h); err != nil {
			return nil, errors.New("it sends events that are not as its API says")
		}
		evs = append(evs, h.GetEvents()...)
	}
	for len(evs) > 0 && evs[len(evs)-1].GetTaskId() == 0 {
		evs = evs[:len(evs)-1]
	}
	return evs, nil
}
