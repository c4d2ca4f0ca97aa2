package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/proto"

	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// ErrCutOff: calls were still under way when the time for draining was up, and
// were cut off. Their clients know no outcome, and settle it elsewhere.
var ErrCutOff = errors.New("ingest: calls were cut off: they took longer than the drain timeout")

var errDraining = errors.New("draining: this instance is about to end")

func invalidf(field, format string, args ...any) error {
	return &events.InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// renamed is err with the request's name of a field instead of the library's.
func renamed(err error, fields map[string]string) error {
	var invalid *events.InvalidError
	if errors.As(err, &invalid) && fields[invalid.Field] != "" {
		return &events.InvalidError{Field: fields[invalid.Field], Reason: invalid.Reason}
	}
	return err
}

// answerErrors turns errors into what clients get: a code and details.
func (s *Server) answerErrors(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		err := next(ctx, spec, stream)
		if err == nil {
			return nil
		}
		answer := answerOf(err)
		if answer.Code() == connect.CodeInternal {
			s.config.Logger.ErrorContext(ctx, "a call failed", slog.String("procedure", spec.Procedure), slog.Any("error", err))
		}
		return answer.WithCause(err)
	}
}

// answerOf maps an error of the libraries below. Each kind is named: what is not
// is a fault of this program, and only its log says more.
func answerOf(err error) *connect.Error {
	var (
		unknown  *events.OutcomeUnknownError
		field    *eventjson.FieldError
		invalid  *events.InvalidError
		filter   *pgstore.FilterError
		conflict *events.ConflictError
		closed   *events.ClosedError
		missing  *events.NotFoundError
		noRow    *pgstore.NotFoundError
		limit    *events.LimitError
		overload *events.OverloadedError
		reused   *events.CommitIDReusedError
		corrupt  *events.CorruptError
		beat     *events.CorruptHeartbeatError
		behind   *projection.BehindError
		waits    *projection.TooManyWaitsError
		aside    *projection.QuarantinedError
		coded    *connect.Error
	)
	switch {
	case errors.As(err, &unknown):
		return outcomeUnknown(unknown)
	case errors.As(err, &field):
		return invalidFields(field)
	case errors.As(err, &invalid):
		return coding(connect.CodeInvalidArgument, invalid, &annalsv1.InvalidArgument{
			Violations: []*annalsv1.FieldViolation{{Field: invalid.Field, Description: invalid.Reason}},
		})
	case errors.As(err, &filter):
		return coding(connect.CodeInvalidArgument, filter, &annalsv1.InvalidArgument{
			Violations: []*annalsv1.FieldViolation{{Field: "query", Description: filter.Error()}},
		})
	case errors.As(err, &conflict):
		return coding(connect.CodeAborted, conflict, &annalsv1.Conflict{
			Workflow: named(conflict.Workflow), Expected: conflict.Expected, Actual: cursor(conflict.Actual),
		})
	case errors.As(err, &closed):
		return coding(connect.CodeFailedPrecondition, closed, &annalsv1.Closed{Workflow: named(closed.Workflow), Actual: cursor(closed.Actual)})
	case errors.As(err, &missing):
		return coding(connect.CodeNotFound, missing, &annalsv1.NotFound{
			Workflow: named(missing.Workflow), RunId: string(missing.Run), EventId: int64(missing.Event),
		})
	case errors.As(err, &noRow):
		return coding(connect.CodeNotFound, noRow, &annalsv1.NotFound{Workflow: named(noRow.Workflow), RunId: string(noRow.Run)})
	case errors.As(err, &limit):
		return coding(connect.CodeResourceExhausted, limit, &annalsv1.LimitExceeded{
			Limit: limit.What, Got: limit.Got, Max: limit.Max, Remedy: limit.Remedy,
		})
	case errors.As(err, &overload):
		return coding(connect.CodeResourceExhausted, overload, overloaded(overload))
	case errors.As(err, &reused):
		return coding(connect.CodeAlreadyExists, reused, &annalsv1.CommitIdReused{
			Workflow: named(reused.Workflow), CommitId: string(reused.CommitID), Position: reused.Position.String(),
		})
	case errors.As(err, &corrupt):
		return coding(connect.CodeDataLoss, corrupt, &annalsv1.Corrupt{
			Workflow: named(corrupt.Workflow), Position: corrupt.Position.String(), Reason: corrupt.Reason,
		})
	case errors.As(err, &beat):
		return coding(connect.CodeDataLoss, beat, &annalsv1.Corrupt{Workflow: named(beat.Workflow), Reason: beat.Error()})
	case errors.As(err, &behind):
		return coding(connect.CodeDeadlineExceeded, behind, tablesBehind(behind))
	case errors.As(err, &aside):
		return coding(connect.CodeFailedPrecondition, aside, &annalsv1.Quarantined{
			Workflow: named(aside.Workflow), Position: aside.Position().String(), Reason: aside.Reason,
		})
	case errors.As(err, &waits):
		return coding(connect.CodeResourceExhausted, waits, &annalsv1.LimitExceeded{
			Limit: "waits under way", Got: int64(waits.Max) + 1, Max: int64(waits.Max), Remedy: "ask again when others have ended",
		})
	case errors.Is(err, eventjson.ErrTooLarge):
		return connect.NewError(connect.CodeResourceExhausted, err.Error())
	case errors.As(err, &coded):
		return coded
	case errors.Is(err, events.ErrUnavailable), errors.Is(err, events.ErrOutcomeUnknown):
		return connect.NewError(connect.CodeUnavailable, err.Error())
	case errors.Is(err, events.ErrWrongLog), errors.Is(err, projection.ErrVersion):
		return connect.NewError(connect.CodeFailedPrecondition, err.Error())
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, err.Error())
	case databaseGone(err):
		return connect.NewError(connect.CodeUnavailable, "the tables cannot be reached")
	default:
		return connect.NewError(connect.CodeInternal, "internal error; the server's log says more")
	}
}

// coding is an answer with one detail.
func coding(code connect.Code, err error, detail proto.Message) *connect.Error {
	answer := connect.NewError(code, err.Error())
	d, failed := connectproto.NewErrorDetail(detail)
	if failed != nil { // a text that is no UTF-8: the message alone says it
		return answer
	}
	return answer.WithDetail(d)
}

// overloaded says which of the two bounds it was; it passes.
func overloaded(err *events.OverloadedError) *annalsv1.LimitExceeded {
	d := &annalsv1.LimitExceeded{Limit: "bytes under way", Got: err.Bytes, Max: err.MaxBytes, Remedy: "send it again when other appends have ended"}
	if err.MaxCommits > 0 && err.Commits >= err.MaxCommits {
		d.Limit, d.Got, d.Max = "commits under way", err.Commits, err.MaxCommits
	}
	return d
}

func outcomeUnknown(err *events.OutcomeUnknownError) *connect.Error {
	token, failed := err.Expectation.MarshalText()
	if failed != nil {
		return connect.NewError(connect.CodeInternal, failed.Error())
	}
	return coding(connect.CodeUnavailable, err, &annalsv1.OutcomeUnknown{
		Workflow: named(err.Workflow), CommitId: string(err.CommitID), Expectation: string(token),
	})
}

// shownViolations is how many an answer spells out.
const shownViolations = 100

// wholeRequest is the field of what is wrong with a request as a whole, which has
// no path: JSON that is no object.
const wholeRequest = "request"

func invalidFields(err *eventjson.FieldError) *connect.Error {
	shown := &eventjson.FieldError{Problems: slices.Clone(err.Problems), More: err.More}
	detail := &annalsv1.InvalidArgument{}
	for i, p := range err.Problems {
		field := p.Path
		if field == "" {
			field, shown.Problems[i].Path = wholeRequest, "the "+wholeRequest
		}
		if i >= shownViolations {
			continue
		}
		v := &annalsv1.FieldViolation{Field: field, Description: p.Reason.Error()}
		if p.Detail != "" {
			v.Description += ": " + p.Detail
		}
		detail.Violations = append(detail.Violations, v)
	}
	return coding(connect.CodeInvalidArgument, shown, detail)
}

func tablesBehind(err *projection.BehindError) *annalsv1.Behind {
	detail := &annalsv1.Behind{}
	for _, b := range err.Behind {
		detail.Positions = append(detail.Positions, &annalsv1.BehindPosition{
			Wanted:  b.Wanted.String(),
			Reached: events.Position{Partition: b.Wanted.Partition, Sequence: b.Checkpoint}.String(),
		})
	}
	return detail
}

func named(w events.Workflow) *annalsv1.Workflow {
	return &annalsv1.Workflow{Namespace: w.Namespace, WorkflowId: w.ID}
}

// cursor is nil where there is no workflow.
func cursor(c events.Cursor) *annalsv1.Cursor {
	if c.IsZero() {
		return nil
	}
	return &annalsv1.Cursor{
		RunId: string(c.Run()), EventId: int64(c.LastEventID()), Status: c.Status().String(), Position: c.Position().String(),
	}
}

// databaseGone reports whether Postgres could not be asked, as opposed to what
// it answered.
func databaseGone(err error) bool {
	var connecting *pgconn.ConnectError
	var network net.Error
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &connecting), errors.As(err, &network), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return true
	case errors.As(err, &refused) && len(refused.Code) == 5:
		// Connection exceptions, insufficient resources, operator intervention
		// (PostgreSQL's manual, appendix A).
		class := refused.Code[:2]
		return class == "08" || class == "53" || class == "57"
	}
	return false
}
