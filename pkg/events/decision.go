package events

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"
)

// Topic is what a decision is about: what kind of thing of a namespace, and which.
type Topic struct {
	Namespace string // as a workflow's
	// Kind is what is decided, e.g. "search-attribute": 1 to 40 bytes, lower-case
	// letters, digits and hyphens. A log takes any: who does not know a kind
	// keeps its decisions, and passes them over.
	Kind string
	Key  string // which of its kind: 1 to 1,000 bytes of UTF-8 without NUL
}

// String is namespace, kind and key, as messages and errors show them.
func (t Topic) String() string { return t.Kind + " " + t.Namespace + "/" + t.Key }

// Validate refuses what no log takes, as *InvalidError that names the field.
func (t Topic) Validate() error {
	if err := CheckID("namespace", t.Namespace, MaxNamespaceBytes); err != nil {
		return err
	}
	if err := checkDecisionKind(t.Kind); err != nil {
		return err
	}
	return CheckID("key", t.Key, MaxDecisionKeyBytes)
}

func checkDecisionKind(kind string) error {
	if err := CheckID("kind", kind, MaxDecisionKindBytes); err != nil {
		return err
	}
	for _, c := range []byte(kind) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return &InvalidError{Field: "kind", Reason: "holds " + fmt.Sprintf("%q", c) + ": it has lower-case letters, digits and hyphens"}
		}
	}
	return nil
}

// The bounds of a decision.
const (
	MaxDecisionKindBytes = 40
	MaxDecisionKeyBytes  = 1000
	MaxDecisionBytes     = 64 << 10 // of its content
)

// Decision is something that was decided and is no event: it is in no history, but
// what is made from the log must honour it, today and when it is made again.
type Decision struct {
	Topic Topic
	// CommitID makes it recognisable when it is repeated, however often the topic
	// was decided since. Empty: a UUIDv7 is made.
	CommitID CommitID
	// Time is when it was decided, in the years 1 to 9999; what is below a
	// microsecond is cut off. Zero: assigned from this process's clock.
	Time time.Time
	// Cause is the commit that made it necessary; zero if somebody decided it.
	Cause Position
	// By says who decided it; at most 1,000 bytes of UTF-8 without NUL, may be empty.
	By string
	// Content is what was decided, in the form of its kind: a JSON object.
	Content []byte
}

// Validate refuses what no log takes, as *InvalidError that names the field. A
// zero time and an empty commit id are refused: logs assign them before.
func (d *Decision) Validate() error {
	if err := d.Topic.Validate(); err != nil {
		return err
	}
	if err := CheckID("commitId", string(d.CommitID), MaxCommitIDBytes); err != nil {
		return err
	}
	if d.By != "" {
		if err := CheckID("by", d.By, MaxIdentityBytes); err != nil {
			return err
		}
	}
	var object map[string]json.RawMessage
	switch {
	case d.Time.IsZero():
		return &InvalidError{Field: "time", Reason: "is the first microsecond of the year 1, which stands for no time"}
	case d.Time.Year() < 1 || d.Time.Year() > 9999:
		return &InvalidError{Field: "time", Reason: "is outside of the years 1 to 9999"}
	case d.Cause.Partition < 0 || d.Cause.Partition > 0 && d.Cause.Sequence == 0:
		return &InvalidError{Field: "cause", Reason: "is " + d.Cause.String() + ", which is no position"}
	case len(d.Content) > MaxDecisionBytes:
		return &InvalidError{Field: "content", Reason: fmt.Sprintf("has %d bytes, at most %d are allowed", len(d.Content), MaxDecisionBytes)}
	case json.Unmarshal(d.Content, &object) != nil || object == nil:
		return &InvalidError{Field: "content", Reason: "is no JSON object"}
	}
	return nil
}

// SameAs reports whether d repeats other: all is the same but the time, which may
// have been assigned anew.
func (d *Decision) SameAs(other *Decision) bool {
	return d.Topic == other.Topic && d.CommitID == other.CommitID && d.Cause == other.Cause && d.By == other.By && bytes.Equal(d.Content, other.Content)
}

// StoredDecision is a decision with its place in the control stream.
type StoredDecision struct {
	Decision
	// Sequence counts all decisions of a log from 1, without gaps; it is no
	// Position of the log.
	Sequence uint64
	// Previous is the sequence of the message of the topic that it follows; 0: none.
	Previous uint64
}

// Control keeps decisions that are no events, in one order, for ever: the log's
// control stream.
type Control interface {
	// Decide stores d if the topic's last message has the sequence after (0: it
	// has none), so that of several who decide at once one does, and the others
	// learn what was decided. A repeat with the same commit id is recognised,
	// whatever it expects, and existed is true. It MUST NOT return before the
	// decision is stored as durably as the log is configured to. It fails with
	// ErrConflict (*DecidedError says what is there; nothing was stored),
	// ErrCommitIDReused (*DecisionReusedError), ErrInvalid, ErrUnavailable
	// (nothing was stored), ErrOutcomeUnknown (*DecisionUnknownError: send it
	// again with this commit id and the same after) or ErrWrongLog.
	Decide(ctx context.Context, d Decision, after uint64) (stored StoredDecision, existed bool, err error)
	// Decisions yields the decisions that were stored after a sequence (exclusive;
	// 0 is from the first), up to the one that was the last when the iteration
	// began, as the leader of the stream knows it. The sequences are dense; the
	// first error ends it but for a message that is no decision, which is yielded
	// as its sequence and, as far as it can be read, its topic, with a
	// *CorruptDecisionError. A sequence beyond the end is ErrWrongLog: the stream
	// was cut short, made anew or restored.
	Decisions(ctx context.Context, after uint64) iter.Seq2[StoredDecision, error]
	// FollowDecisions is Decisions that goes on with those that come, until the
	// context ends (its error is yielded). It survives reconnects.
	FollowDecisions(ctx context.Context, after uint64) iter.Seq2[StoredDecision, error]
	// DecisionBounds are the sequences that the control stream holds.
	DecisionBounds(ctx context.Context) (Bounds, error)
}
