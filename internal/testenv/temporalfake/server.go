package temporalfake

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Namespace is the one that the server has.
const Namespace = "default"

// Run is a run of the server.
type Run struct {
	Workflow, ID  string
	Began, Closed time.Time // as the list says; Closed zero: open
	Events        []*historypb.HistoryEvent
	// NotStored are events that it sends behind the others, although it has not
	// stored them.
	NotStored []*historypb.HistoryEvent
	Paused    bool // the server waits for nobody
	Forgotten bool // it is listed, and not there
	Unlisted  bool // it is there, and not listed
}

// Options are how a server is.
type Options struct {
	TLS *tls.Config
	// Page is how many runs, or events, a page has; 3.
	Page int
	// Raw sends events as the server keeps them.
	Raw bool
	// Fail, if set, is asked before each call is answered. With ErrEmpty a history
	// is answered by a page without events, and a token for what it asked for.
	Fail func(Call) error
}

// ErrEmpty: see Options.Fail.
var ErrEmpty = errors.New("an empty page")

// Call is a call of the server.
type Call struct {
	Method string // list or history
	N      int    // counts the calls of the method, from 1
	Paging bool   // it goes on with another one
	Size   int    // of the page that is asked for
	Run    string // whose history it is
}

// Server is a server. Its methods are safe for concurrent use.
type Server struct {
	workflowservice.UnimplementedWorkflowServiceServer
	Address string // host:port
	options Options

	mu      sync.Mutex // guards what follows
	changed chan struct{}
	runs    []*Run
	calls   map[string]int
	queries []string
	headers []metadata.MD
}

// New starts a server on a free port of this machine. It ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Page == 0 {
		o.Page = 3
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Address: listener.Addr().String(), options: o, changed: make(chan struct{}), calls: map[string]int{}}
	var with []grpc.ServerOption
	if o.TLS != nil {
		with = append(with, grpc.Creds(credentials.NewTLS(o.TLS)))
	}
	g := grpc.NewServer(with...)
	workflowservice.RegisterWorkflowServiceServer(g, s)
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

// Put adds a run, or replaces the one of its name, and wakes who waits.
func (s *Server) Put(r Run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Events = stored(r.Events)
	if i := slices.IndexFunc(s.runs, func(x *Run) bool { return x.Workflow == r.Workflow && x.ID == r.ID }); i >= 0 {
		s.runs[i] = &r
	} else {
		s.runs = append([]*Run{&r}, s.runs...) // the newest first
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// stored gives events the task ids that a server gives to what it stores.
func stored(evs []*historypb.HistoryEvent) []*historypb.HistoryEvent {
	out := make([]*historypb.HistoryEvent, len(evs))
	for i, e := range evs {
		out[i] = proto.CloneOf(e)
		out[i].TaskId = 1000 + e.EventId
	}
	return out
}

// Stored are the run's events as the server has them.
func (s *Server) Stored(workflow, run string) []*historypb.HistoryEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		if r.Workflow == workflow && r.ID == run {
			return r.Events
		}
	}
	return nil
}

// Queries are the list filters that were asked.
func (s *Server) Queries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.queries)
}

// Headers are what came with the calls.
func (s *Server) Headers() []metadata.MD {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.headers)
}

// begin counts a call, and lets it fail.
func (s *Server) begin(ctx context.Context, namespace string, c Call) error {
	s.mu.Lock()
	s.calls[c.Method]++
	c.N = s.calls[c.Method]
	h, _ := metadata.FromIncomingContext(ctx)
	s.headers = append(s.headers, h)
	s.mu.Unlock()
	if s.options.Fail != nil {
		if err := s.options.Fail(c); errors.Is(err, ErrEmpty) {
			return err
		} else if err != nil {
			return serviceerror.ToStatus(err).Err()
		}
	}
	if namespace != Namespace {
		return serviceerror.ToStatus(serviceerror.NewNamespaceNotFound(namespace)).Err()
	}
	return nil
}

// ListWorkflowExecutions lists all runs, whatever the query.
func (s *Server) ListWorkflowExecutions(ctx context.Context, r *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	if err := s.begin(ctx, r.Namespace, Call{Method: "list", Paging: len(r.NextPageToken) > 0, Size: int(r.PageSize)}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = append(s.queries, r.Query)
	from := 0
	if len(r.NextPageToken) > 0 {
		if _, err := fmt.Sscan(string(r.NextPageToken), &from); err != nil {
			return nil, serviceerror.ToStatus(serviceerror.NewInvalidArgument("invalid NextPageToken")).Err()
		}
	}
	listed := slices.DeleteFunc(slices.Clone(s.runs), func(r *Run) bool { return r.Unlisted })
	to := min(from+s.options.Page, len(listed))
	out := &workflowservice.ListWorkflowExecutionsResponse{}
	for _, x := range listed[from:to] {
		info := &workflowpb.WorkflowExecutionInfo{Execution: &commonpb.WorkflowExecution{WorkflowId: x.Workflow, RunId: x.ID}, StartTime: timestamppb.New(x.Began)}
		if !x.Closed.IsZero() {
			info.CloseTime = timestamppb.New(x.Closed)
		}
		out.Executions = append(out.Executions, info)
	}
	if to < len(listed) {
		out.NextPageToken = fmt.Append(nil, to)
	}
	return out, nil
}

// GetWorkflowExecutionHistory gives a page, and waits for one where it is told to.
func (s *Server) GetWorkflowExecutionHistory(ctx context.Context, r *workflowservice.GetWorkflowExecutionHistoryRequest) (*workflowservice.GetWorkflowExecutionHistoryResponse, error) {
	err := s.begin(ctx, r.Namespace, Call{Method: "history", Paging: len(r.NextPageToken) > 0, Size: int(r.MaximumPageSize), Run: r.Execution.GetRunId()})
	if errors.Is(err, ErrEmpty) {
		next := r.NextPageToken
		if len(next) == 0 {
			next = []byte("0")
		}
		return &workflowservice.GetWorkflowExecutionHistoryResponse{NextPageToken: next}, nil
	}
	if err != nil {
		return nil, err
	}
	from := 0
	if len(r.NextPageToken) > 0 {
		if _, err := fmt.Sscan(string(r.NextPageToken), &from); err != nil {
			return nil, serviceerror.ToStatus(serviceerror.NewInvalidArgument("invalid NextPageToken")).Err()
		}
	}
	for {
		s.mu.Lock()
		i := slices.IndexFunc(s.runs, func(x *Run) bool {
			return x.Workflow == r.Execution.GetWorkflowId() && x.ID == r.Execution.GetRunId() && !x.Forgotten
		})
		if i < 0 {
			s.mu.Unlock()
			return nil, serviceerror.ToStatus(serviceerror.NewNotFound("workflow not found for ID: " + r.Execution.GetWorkflowId())).Err()
		}
		x, changed := *s.runs[i], s.changed
		s.mu.Unlock()
		waits := r.WaitNewEvent && x.Closed.IsZero() && !x.Paused
		if from < len(x.Events) || !waits {
			return s.page(&x, from, waits)
		}
		select {
		case <-changed:
		case <-time.After(time.Second): // less than a real one: nobody is to wait for it here
			return &workflowservice.GetWorkflowExecutionHistoryResponse{NextPageToken: fmt.Append(nil, from)}, nil
		case <-ctx.Done():
			return nil, serviceerror.ToStatus(ctx.Err()).Err()
		}
	}
}

func (s *Server) page(x *Run, from int, waits bool) (*workflowservice.GetWorkflowExecutionHistoryResponse, error) {
	to := min(from+s.options.Page, len(x.Events))
	evs := slices.Clone(x.Events[min(from, to):to])
	out := &workflowservice.GetWorkflowExecutionHistoryResponse{}
	if to == len(x.Events) {
		evs = append(evs, x.NotStored...)
	}
	if to < len(x.Events) || waits {
		out.NextPageToken = fmt.Append(nil, to)
	}
	if !s.options.Raw {
		out.History = &historypb.History{Events: evs}
		return out, nil
	}
	b, err := proto.Marshal(&historypb.History{Events: evs})
	if err != nil {
		return nil, err
	}
	out.RawHistory = []*commonpb.DataBlob{{EncodingType: enumspb.ENCODING_TYPE_PROTO3, Data: b}}
	return out, nil
}
