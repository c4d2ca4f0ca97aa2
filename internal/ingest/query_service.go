package ingest

import (
	"context"
	"time"

	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// queryService is QueryService over the tables.
type queryService struct {
	log         events.Log
	tables      *pgstore.Store
	waitTimeout time.Duration
}

// lagPatience is how long the log is asked how far it is beyond an answer: the tables
// answer without it too.
const lagPatience = 200 * time.Millisecond

// DescribeExecution is QueryService's.
func (s *queryService) DescribeExecution(ctx context.Context, r *annalsv1.DescribeExecutionRequest) (*annalsv1.DescribeExecutionResponse, error) {
	w, err := workflow(r.Workflow)
	if err != nil {
		return nil, err
	}
	include, err := s.include(ctx, r)
	if err != nil {
		return nil, err
	}
	d, err := s.tables.Describe(ctx, pgstore.DescribeQuery{Workflow: w, Run: events.RunID(r.RunId), Include: include})
	if err != nil {
		return nil, err
	}
	asking, cancel := context.WithTimeout(ctx, lagPatience)
	defer cancel()
	d.AskLag(asking, s.log)
	return description(d)
}

// ListExecutions is QueryService's.
func (s *queryService) ListExecutions(ctx context.Context, r *annalsv1.ListExecutionsRequest) (*annalsv1.ListExecutionsResponse, error) {
	include, err := s.include(ctx, r)
	if err != nil {
		return nil, err
	}
	page, err := s.tables.List(ctx, pgstore.ListQuery{
		Namespace: namespace(r.Namespace), Query: r.Query, OrderBy: r.OrderBy,
		Limit: int(r.PageSize), Offset: int(r.Offset), PageToken: r.PageToken, Include: include,
	})
	if err != nil {
		return nil, renamed(err, map[string]string{"limit": "pageSize"})
	}
	answer := &annalsv1.ListExecutionsResponse{NextPageToken: page.NextPageToken, Lacking: lacking(page.Lacking)}
	for _, e := range page.Executions {
		x, err := execution(e)
		if err != nil {
			return nil, err
		}
		answer.Executions = append(answer.Executions, x)
	}
	return answer, nil
}

// CountExecutions is QueryService's.
func (s *queryService) CountExecutions(ctx context.Context, r *annalsv1.CountExecutionsRequest) (*annalsv1.CountExecutionsResponse, error) {
	include, err := s.include(ctx, r)
	if err != nil {
		return nil, err
	}
	c, err := s.tables.Count(ctx, pgstore.CountQuery{Namespace: namespace(r.Namespace), Query: r.Query, GroupBy: r.GroupBy, Include: include})
	if err != nil {
		return nil, err
	}
	answer := &annalsv1.CountExecutionsResponse{Count: c.Count, Lacking: lacking(c.Lacking)}
	for _, g := range c.Groups {
		answer.Groups = append(answer.Groups, &annalsv1.ExecutionGroup{Values: g.Values, Count: g.Count})
	}
	return answer, nil
}
