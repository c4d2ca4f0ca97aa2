package events

import (
	"encoding/base64"
	"fmt"
	"time"

	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"
)

// CommitID names an append. The same id stored twice on one workflow is the
// same append; on two workflows it is two. At most 255 bytes of UTF-8 without
// NUL.
type CommitID string

// Kind is what a commit is for.
type Kind uint8

const (
	// KindEvents is a commit of events.
	KindEvents Kind = 1
	// KindAnchor is reserved: a cursor without events, left where older
	// messages moved to a cold tier.
	KindAnchor Kind = 2
	// KindVoid is a commit without events: it declares the messages between the
	// last valid commit and itself void.
	KindVoid Kind = 3
)

// String is the kind as the envelope writes it.
func (k Kind) String() string {
	switch k {
	case KindEvents:
		return "events"
	case KindAnchor:
		return "anchor"
	case KindVoid:
		return "void"
	default:
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
}

// Hash is a link of a workflow's chain: 128 bits of SHA-256. The zero Hash
// stands before the first commit.
type Hash [16]byte

// String is the hash as the envelope writes it: 22 characters of unpadded
// URL-safe base64.
func (h Hash) String() string {
	var b [22]byte
	base64.RawURLEncoding.Encode(b[:], h[:])
	return string(b[:])
}

// Digest identifies the request that a commit came from, before ids and times
// were assigned: 96 bits of SHA-256.
type Digest [12]byte

// String is the digest as the envelope writes it.
func (d Digest) String() string {
	var b [16]byte
	base64.RawURLEncoding.Encode(b[:], d[:])
	return string(b[:])
}

// Segment is the part of a commit that belongs to one run.
type Segment struct {
	Run         RunID
	First, Last EventID // both inclusive
	Type        string  // the workflow type, may be empty
	Before      Status  // 0 if the run begins here
	After       Status
	Size        int64 // bytes of the run's events so far, this commit included
	// RunFirst is the sequence of the commit in which the run began: this
	// commit's own where it begins here.
	RunFirst uint64
	// PrevRunFirst is the sequence of the commit in which the workflow's
	// previous run began, 0 if there was none.
	PrevRunFirst uint64
}

// Opens reports whether the run begins in this segment.
func (s *Segment) Opens() bool { return s.Before == 0 }

// Count is the number of events.
func (s *Segment) Count() int { return int(s.Last-s.First) + 1 }

// Commit is the events of one append, as they are stored: one message.
type Commit struct {
	Workflow Workflow
	Position Position
	Time     time.Time // when the server stored it, by the server's clock
	Kind     Kind
	ID       CommitID
	// Closed is the run that this commit closes before it opens another one;
	// nil in a commit of one run.
	Closed *Segment
	// Run is the run that is the workflow's newest after this commit. In a void
	// it has no events, and is zero where the workflow has had no run yet.
	Run Segment
	// Base is set where Run begins as a reset of another run: with the events
	// of that one up to Base.Event, which are not stored again.
	Base *ResetBase
	// Void is set in a commit of KindVoid only, whose Body is the reason.
	Void *Void
	// Back holds the sequences of the commits of the workflow before this
	// one, newest first, at most MaxBack: hints that a reader checks.
	Back        []uint64
	Digest      Digest
	Hash        Hash
	Traceparent string // as W3C says; empty if there was none
	// Header is all of the message that it was decoded from, as it was stored; nil
	// where it was not. It is read-only, and no part of what Digest and Hash cover.
	Header Header
	// Body is the protobuf temporal.api.history.v1.History of the events,
	// those of Closed first.
	Body []byte
}

// MaxBack is how many earlier commits an envelope names.
const MaxBack = 8

// Count is the number of events in the commit.
func (c *Commit) Count() int {
	if c.Kind == KindVoid {
		return 0
	}
	n := c.Run.Count()
	if c.Closed != nil {
		n += c.Closed.Count()
	}
	return n
}

// Segments yields the runs of the commit with their events, the closed one
// first; none for a void. It fails with *CorruptError if the body is not what the envelope says.
func (c *Commit) Segments() ([]SegmentEvents, error) {
	if c.Kind == KindVoid {
		return nil, nil
	}
	var h historypb.History
	if err := proto.Unmarshal(c.Body, &h); err != nil {
		return nil, c.corrupt("body is not a History: %v", err)
	}
	if len(h.ProtoReflect().GetUnknown()) != 0 {
		return nil, c.corrupt("body holds more than events")
	}
	if len(h.Events) != c.Count() {
		return nil, c.corrupt("body holds %d events, the envelope says %d", len(h.Events), c.Count())
	}
	out := make([]SegmentEvents, 0, 2)
	rest := h.Events
	for _, s := range []*Segment{c.Closed, &c.Run} {
		if s == nil {
			continue
		}
		part := rest[:s.Count():s.Count()]
		rest = rest[s.Count():]
		for i, e := range part {
			if want := s.First + EventID(i); EventID(e.EventId) != want {
				return nil, c.corrupt("event %d of the body has id %d, the envelope says %d", i, e.EventId, want)
			}
		}
		out = append(out, SegmentEvents{Segment: s, Events: part})
	}
	return out, nil
}

// SegmentEvents is a segment with its events decoded.
type SegmentEvents struct {
	*Segment
	Events []*Event
}

// Segment is the part of the commit that belongs to a run, nil if none does.
func (c *Commit) Segment(run RunID) *Segment {
	if c.Run.Run == run {
		return &c.Run
	}
	if c.Closed != nil && c.Closed.Run == run {
		return c.Closed
	}
	return nil
}

// Cursor is what the append after this commit needs.
func (c *Commit) Cursor(id Identity) Cursor {
	back := make([]uint64, 0, MaxBack)
	back = append(back, c.Position.Sequence)
	back = append(back, c.Back[:min(len(c.Back), MaxBack-1)]...)
	return Cursor{
		logID: id.LogID, epoch: id.Epoch, workflow: c.Workflow,
		run: c.Run.Run, last: c.Run.Last, position: c.Position,
		runFirst: c.Run.RunFirst, prevRunFirst: c.Run.PrevRunFirst,
		workflowType: c.Run.Type, status: c.Run.After, size: c.Run.Size,
		hash: c.Hash, back: back,
	}
}

func (c *Commit) corrupt(format string, args ...any) error {
	return &CorruptError{Workflow: c.Workflow, Position: c.Position, Reason: fmt.Sprintf(format, args...)}
}
