package subjectlog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// Void is events.Voider's.
func (l *Log) Void(ctx context.Context, r events.VoidRequest) (events.VoidResult, error) {
	if err := r.Workflow.Validate(); err != nil {
		return events.VoidResult{}, err
	}
	if r.CommitID == "" {
		r.CommitID = events.CommitID(newUUID())
	} else if err := events.CheckID("commitId", string(r.CommitID), events.MaxCommitIDBytes); err != nil {
		return events.VoidResult{}, err
	}
	if err := events.CheckVoidReason(r.Reason); err != nil {
		return events.VoidResult{}, err
	}
	ctx, cancel := Within(ctx, l.config.AppendTimeout)
	defer cancel()
	return l.void(ctx, r)
}

// void looks at the subject before each attempt: an attempt that may have been
// stored is found there, and one that expects another end than what was found
// never will be stored.
func (l *Log) void(ctx context.Context, r events.VoidRequest) (events.VoidResult, error) {
	wait := Delays()
	unsettled := false  // an attempt may be stored, or may yet be
	unanswered := 0     // attempts
	var expected uint64 // the end that the last attempt expects, and that was seen
	var moved uint64    // the one that was expected when the subject had moved
	var doubt Doubt
	fail := func(err error) (events.VoidResult, error) {
		switch {
		case unsettled:
			err = &events.OutcomeUnknownError{Workflow: r.Workflow, CommitID: r.CommitID, Cause: err}
		case errors.Is(err, context.Canceled) && !events.SafeToRetry(err):
			err = &unavailableError{cause: err}
		}
		return events.VoidResult{}, err
	}
	for {
		asked := time.Now()
		s, err := l.survey(ctx, r)
		if lacks := expected > 0 && (errors.Is(err, events.ErrNotFound) || err == nil && s.stored == nil && s.last < expected); lacks {
			if doubted := l.doubted(ctx, &doubt, l.Partition(r.Workflow), asked); doubted != nil {
				if stop := Sleep(ctx, wait.NextBackOff()); stop != nil {
					return fail(&unavailableError{cause: fmt.Errorf("void of %s: %w: the message at sequence %d is not there: %w", r.Workflow, stop, expected, doubted)})
				}
				continue
			}
			expected, unsettled = 0, false // it was cut back
		}
		if err != nil {
			if errors.Is(err, events.ErrUnavailable) && ctx.Err() == nil && unsettled {
				if Sleep(ctx, wait.NextBackOff()) == nil {
					continue
				}
			}
			return fail(err)
		}
		if s.stored != nil {
			return s.result(l, s.stored, true), nil
		}
		doubt.Dispel()
		if s.last > expected {
			unsettled = false // the attempt expects another end
		}
		c, err := s.commit(l)
		if err != nil {
			return events.VoidResult{}, err
		}
		out := Outgoing{
			CommitID: c.ID, Partition: l.Partition(r.Workflow), Subject: r.Workflow.Subject(),
			Header: events.EncodeHeader(c), Body: c.Body, Expected: c.Void.Last,
			Unanswered: unanswered,
		}
		expected = out.Expected
		seq, err := l.store.Publish(ctx, out)
		var rejected *RejectedError
		switch {
		case err == nil:
			c.Position = events.Position{Partition: out.Partition, Sequence: seq}
			return s.result(l, c, false), nil
		case errors.Is(err, ErrMoved):
			if ctx.Err() == nil && moved != expected {
				moved = expected // somebody else was quicker: no reason to wait
				continue
			}
		case errors.As(err, &rejected) && !unsettled:
			return events.VoidResult{}, &events.LimitError{
				Workflow: r.Workflow, What: "bytes of a void", Got: int64(len(c.Body)), Remedy: "the server " + rejected.Error(),
			}
		case errors.Is(err, events.ErrWrongLog):
			return fail(err)
		case errors.Is(err, ErrClosed):
			return fail(Unavailable(err))
		case errors.Is(err, ErrNotSent), errors.Is(err, ErrBusy):
		default:
			unsettled = true
			out.Missed(err)
			unanswered = out.Unanswered
		}
		if stop := Sleep(ctx, wait.NextBackOff()); stop != nil {
			return fail(&unavailableError{cause: fmt.Errorf("void of %s: %w (last answer: %w)", r.Workflow, stop, err)})
		}
	}
}

// survey is what lies on a subject that is to be mended.
type survey struct {
	r      events.VoidRequest
	digest events.Digest
	judge
	voided []events.VoidedMessage // the suspects, at most events.MaxVoided
	count  uint64                 // of them
	end    uint64                 // sequence of the last
	last   uint64                 // sequence of the subject's last message
	// before is the last suspect as the commit that it would be, nil if it
	// would be none; followed is the first suspect that was appended behind
	// another message than the last commit.
	before, followed *events.Commit
	// stored is the commit that has the request's id.
	stored *events.Commit
}

func (l *Log) survey(ctx context.Context, r events.VoidRequest) (*survey, error) {
	messages, err := l.all(ctx, r.Workflow)
	if err != nil {
		return nil, err
	}
	s := &survey{r: r, digest: voidDigest(r), judge: judge{w: r.Workflow}}
	s.each = s.suspect
	for m, err := range messages {
		if err != nil {
			return nil, Unavailable(err)
		}
		s.last = m.Position.Sequence
		c := s.next(m)
		if c == nil {
			continue
		}
		if c.ID == r.CommitID {
			if s.stored = c; c.Digest != s.digest {
				return nil, &events.CommitIDReusedError{Workflow: r.Workflow, CommitID: r.CommitID, Position: c.Position}
			}
			return s, nil
		}
		s.voided, s.count, s.end, s.before, s.followed = nil, 0, 0, nil, nil
	}
	return s, nil
}

func (s *survey) suspect(m events.Message, c *events.Commit, why error) {
	s.count, s.end = s.count+1, m.Position.Sequence
	if len(s.voided) < events.MaxVoided {
		reason := why.Error()
		var corrupt *events.CorruptError
		if errors.As(why, &corrupt) {
			reason = corrupt.Reason
		}
		s.voided = append(s.voided, events.VoidedMessage{Position: m.Position, Time: m.Time, Reason: reason})
	}
	if c != nil && s.followed == nil && s.wasAppended(c) {
		s.followed = c
	}
	s.before = c
}

// wasAppended reports whether a suspect, by its envelope, follows another message
// than the last commit, or did when it was stored: that one was a commit when the
// suspect was appended to it. A void appends nothing.
func (s *survey) wasAppended(c *events.Commit) bool {
	if s.before != nil && follows(s.before, c) == nil {
		return true
	}
	var end uint64
	if s.prev != nil {
		end = s.prev.Position.Sequence
	}
	return c.Void == nil && len(c.Back) > 0 && c.Back[0] != end
}

// commit is the void of what was found, or says why there can be none.
func (s *survey) commit(l *Log) (*events.Commit, error) {
	switch {
	case s.count == 0:
		return nil, &events.NotVoidableError{Workflow: s.r.Workflow, Reason: "all its messages are commits, and each follows from the one before it"}
	case s.followed != nil:
		return nil, &events.NotVoidableError{
			Workflow: s.r.Workflow, Position: s.followed.Position,
			Reason: fmt.Sprintf("the commit at %s was appended behind another message than the last commit, so a void would take back what was appended; that message was altered, or commits are gone", s.followed.Position),
		}
	}
	c := &events.Commit{
		Workflow: s.r.Workflow, Kind: events.KindVoid, ID: s.r.CommitID, Digest: s.digest, Body: []byte(s.r.Reason),
		Void: &events.Void{Messages: s.count, Last: s.end},
	}
	var hash events.Hash
	if s.prev != nil {
		c.Run, c.Back, hash = s.prev.Run, s.prev.Cursor(l.identity).Back(), s.prev.Hash
	}
	if c.Run.Run != "" {
		c.Run.First, c.Run.Before = c.Run.Last+1, c.Run.After
	}
	c.Hash = c.ChainHash(hash)
	return c, nil
}

func (s *survey) result(l *Log, c *events.Commit, existed bool) events.VoidResult {
	return events.VoidResult{
		Position: c.Position, CommitID: c.ID, Messages: s.count, Voided: s.voided, Cursor: c.Cursor(l.identity), Existed: existed,
	}
}

// voidDigest identifies a request: docs/adr/0003-wire-format.md.
func voidDigest(r events.VoidRequest) events.Digest {
	var b []byte
	for _, s := range []string{r.Workflow.Subject(), "void", r.Reason} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	sum := sha256.Sum256(b)
	return events.Digest(sum[:len(events.Digest{})])
}
