package subjectlog

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/google/uuid"

	"github.com/annals-io/annals/pkg/events"
)

// prepared is a request that is well-formed whatever it will be appended to:
// all that does not depend on the end of the workflow, done once.
type prepared struct {
	events.Request
	subject  string
	given    bool // the caller named the commit id
	digest   events.Digest
	encoded  [][]byte       // each event as given, deterministic protobuf
	few      [4][]byte      // room for encoded
	firstRun events.RunID   // of a run that begins before the one that RunID names
	named    []events.RunID // ids of runs that begin here and that somebody else has chosen
	opens    int            // index of the last start event, -1 if there is none
	closes   int            // index of the last closing event, -1 if there is none
	time     time.Time
	based    *based // what Base is, once it is found
}

// begins reports whether a run begins with event i.
func (p *prepared) begins(i int) bool {
	return events.Opens(p.Events[i]) || p.Base != nil && i == p.opens
}

// checkBase holds what a reset asks for, whatever the workflow is like.
func (p *prepared) checkBase() error {
	if p.Base == nil {
		return nil
	}
	if err := events.CheckID("base.run", string(p.Base.Run), events.MaxRunIDBytes); err != nil {
		return err
	}
	if p.Base.Event < 1 {
		return &events.InvalidError{Field: "base.event", Reason: fmt.Sprintf("is %d, ids begin at 1", p.Base.Event)}
	}
	p.opens = 0
	for i, e := range p.Events {
		if events.Opens(e) {
			return &events.InvalidError{Field: field(i, "eventType"), Reason: "is a start: a run that is reset begins with that of its base"}
		}
		if p.opens == 0 && events.Closes(e) && i+1 < len(p.Events) {
			p.opens = i + 1
		}
	}
	_, atEnd := p.Expect.IsAtEnd()
	switch {
	case p.opens > 0 && p.Expect.IsNewRun():
		return &events.InvalidError{Field: field(p.opens-1, "eventType"), Reason: fmt.Sprintf("is %s, which ends an open run, and none is expected to be open", p.Events[p.opens-1].EventType)}
	case p.opens == 0 && atEnd:
		return &events.InvalidError{Field: "base", Reason: "is set, and no event ends the run that is expected to be open"}
	}
	return nil
}

// prepare refuses what no workflow could take, before anything is sent.
func prepare(r events.Request, limits events.Limits, now time.Time) (*prepared, error) {
	if err := r.Workflow.Validate(); err != nil {
		return nil, err
	}
	p := &prepared{Request: r, subject: r.Workflow.Subject(), given: r.CommitID != "", opens: -1, closes: -1, time: now.Round(0).UTC()}
	if !p.given {
		p.CommitID = events.CommitID(newUUID())
	} else if err := events.CheckID("commitId", string(r.CommitID), events.MaxCommitIDBytes); err != nil {
		return nil, err
	}
	if r.RunID != "" {
		if err := events.CheckID("runId", string(r.RunID), events.MaxRunIDBytes); err != nil {
			return nil, err
		}
	}
	if r.Traceparent != "" && !events.ValidTraceparent(r.Traceparent) {
		return nil, &events.InvalidError{Field: "traceparent", Reason: fmt.Sprintf("%.80q is none as W3C writes it", r.Traceparent)}
	}
	if err := p.checkOrder(); err != nil {
		return nil, err
	}
	if err := p.encode(limits); err != nil {
		return nil, err
	}
	if err := p.nameRun(); err != nil {
		return nil, err
	}
	if a, ok := r.Expect.Attempted(); ok {
		if !p.given {
			return nil, &events.InvalidError{Field: "commitId", Reason: "is empty: an expectation of an unknown outcome goes with the commit id of that append"}
		}
		if !a.Time.IsZero() {
			p.time = a.Time
		}
		if a.Run != "" && p.opens >= 0 {
			if r.RunID != "" && r.RunID != a.Run {
				return nil, &events.InvalidError{Field: "runId", Reason: fmt.Sprintf("is %s, and the attempt that the expectation carries started %s", r.RunID, a.Run)}
			}
			p.RunID = a.Run
		}
	}
	if err := p.nameFirstRun(); err != nil {
		return nil, err
	}
	return p, nil
}

func field(i int, name string) string {
	if name == "" {
		return fmt.Sprintf("events[%d]", i)
	}
	return fmt.Sprintf("events[%d].%s", i, name)
}

// checkOrder holds which events may follow which within one commit.
func (p *prepared) checkOrder() error {
	if len(p.Events) == 0 {
		return &events.InvalidError{Field: "events", Reason: "is empty"}
	}
	if err := p.checkBase(); err != nil {
		return err
	}
	runs := 0
	for i, e := range p.Events {
		switch {
		case e == nil:
			return &events.InvalidError{Field: field(i, ""), Reason: "is nil"}
		case events.ValueError(e) != nil:
			return ofEvent(i, events.ValueError(e))
		case e.EventId < 0:
			return &events.InvalidError{Field: field(i, "eventId"), Reason: fmt.Sprintf("is %d, ids begin at 1", e.EventId)}
		}
		opens, afterClose := p.begins(i), i > 0 && p.closes == i-1
		if opens || i == 0 {
			runs++
		}
		switch {
		case afterClose && !opens:
			return &events.InvalidError{Field: field(i, "eventType"), Reason: fmt.Sprintf("is %s: after the closing event before it only a start may follow", e.EventType)}
		case opens && i > 0 && !afterClose:
			return &events.InvalidError{Field: field(i, "eventType"), Reason: "is a start, and the run before it is not closed"}
		case runs > 2:
			return &events.InvalidError{Field: field(i, "eventType"), Reason: "begins a third run: a commit holds the end of one run and the start of the next at most"}
		}
		if opens {
			p.opens = i
		}
		if events.Closes(e) {
			p.closes = i
		}
	}
	first := p.Events[0]
	if p.Expect.IsNewRun() && !p.begins(0) {
		return &events.InvalidError{Field: field(0, "eventType"), Reason: fmt.Sprintf("is %s: a new run begins with a start", first.EventType)}
	}
	if _, ok := p.Expect.IsAtEnd(); ok && events.Opens(first) {
		return &events.InvalidError{Field: field(0, "eventType"), Reason: "is a start: at the end of an open run no other may begin"}
	}
	return nil
}

// ofEvent puts the event before the field that an error names.
func ofEvent(i int, err error) error {
	var invalid *events.InvalidError
	if !errors.As(err, &invalid) {
		return err
	}
	return &events.InvalidError{Field: field(i, invalid.Field), Reason: invalid.Reason}
}

// nameRun decides the id of the run that the commit opens last.
func (p *prepared) nameRun() error {
	if p.opens < 0 {
		if p.RunID != "" {
			return &events.InvalidError{Field: "runId", Reason: "is set, but no event starts a run"}
		}
		return nil
	}
	if p.RunID != "" {
		p.named = append(p.named, p.RunID)
		return nil
	}
	if p.opens > 0 {
		p.RunID = events.RunID(newExecutionRunID(p.Events[p.opens-1]))
	}
	if p.RunID == "" {
		p.RunID = events.RunID(p.Events[p.opens].GetWorkflowExecutionStartedEventAttributes().GetOriginalExecutionRunId())
	}
	if p.RunID == "" && p.Base != nil {
		p.RunID = events.RunID(p.Events[p.opens].GetWorkflowTaskFailedEventAttributes().GetNewRunId())
	}
	if p.RunID == "" {
		p.RunID = events.RunID(newUUID())
		return nil
	}
	p.named = append(p.named, p.RunID)
	return events.CheckID(field(p.opens, "runId"), string(p.RunID), events.MaxRunIDBytes)
}

// newExecutionRunID is the run that a closing event says comes next.
func newExecutionRunID(e *events.Event) string {
	switch a := e.Attributes.(type) {
	case *historypb.HistoryEvent_WorkflowExecutionContinuedAsNewEventAttributes:
		return a.WorkflowExecutionContinuedAsNewEventAttributes.GetNewExecutionRunId()
	case *historypb.HistoryEvent_WorkflowExecutionCompletedEventAttributes:
		return a.WorkflowExecutionCompletedEventAttributes.GetNewExecutionRunId()
	case *historypb.HistoryEvent_WorkflowExecutionFailedEventAttributes:
		return a.WorkflowExecutionFailedEventAttributes.GetNewExecutionRunId()
	case *historypb.HistoryEvent_WorkflowExecutionTimedOutEventAttributes:
		return a.WorkflowExecutionTimedOutEventAttributes.GetNewExecutionRunId()
	}
	return ""
}

// deterministic has two encodings of one event be the same bytes.
var deterministic = proto.MarshalOptions{Deterministic: true}

// encode writes each event once, and takes the digest of the request as given.
func (p *prepared) encode(limits events.Limits) error {
	h := sha256.New()
	var length [binary.MaxVarintLen64]byte
	write := func(b []byte) {
		h.Write(length[:binary.PutUvarint(length[:], uint64(len(b)))])
		h.Write(b)
	}
	write([]byte(p.subject))
	named := string(p.RunID) // as given: encode comes before nameRun
	if p.Base != nil {
		named = fmt.Sprintf("%s\x00%s\x00%d", named, p.Base.Run, p.Base.Event)
	}
	write([]byte(named))
	p.encoded = p.few[:0]       // of most appends
	all := make([]byte, 0, 512) // one piece of memory for small events
	total := 0
	for i, e := range p.Events {
		if a := e.GetWorkflowExecutionStartedEventAttributes(); a != nil {
			if n := a.GetWorkflowType().GetName(); len(n) > events.MaxWorkflowTypeBytes {
				return &events.InvalidError{Field: field(i, "workflowType"), Reason: fmt.Sprintf("has %d bytes, at most %d are allowed", len(n), events.MaxWorkflowTypeBytes)}
			}
		}
		if err := events.CheckNesting(e); err != nil {
			return ofEvent(i, err)
		}
		if cap(all)-len(all) < 256 {
			all = make([]byte, 0, 2048)
		}
		start := len(all)
		var err error
		if all, err = deterministic.MarshalAppend(all, e); err != nil {
			return &events.InvalidError{Field: field(i, ""), Reason: err.Error()}
		}
		b := all[start:len(all):len(all)]
		if err := events.CheckEvent(e, b); err != nil {
			return ofEvent(i, err)
		}
		p.encoded = append(p.encoded, b)
		total += len(b)
		write(b)
	}
	if total > limits.CommitBytes {
		return p.commitTooLarge(total, limits)
	}
	var sum [sha256.Size]byte
	p.digest = events.Digest(h.Sum(sum[:0])[:len(events.Digest{})])
	return nil
}

// size is the bytes of the events as given.
func (p *prepared) size() (n int64) {
	for _, b := range p.encoded {
		n += int64(len(b))
	}
	return n
}

func (p *prepared) commitTooLarge(n int, limits events.Limits) error {
	return &events.LimitError{
		Workflow: p.Workflow, What: "bytes of events in one commit", Got: int64(n), Max: int64(limits.CommitBytes),
		Remedy: "append them in several commits, or keep large payloads elsewhere",
	}
}

// against makes the commit that follows the tail, or says why there can be
// none. A zero tail is a workflow without commits.
func (p *prepared) against(tail events.Cursor, limits events.Limits) (*events.Commit, error) {
	c := &events.Commit{
		Workflow: p.Workflow, Kind: events.KindEvents, ID: p.CommitID,
		Digest: p.digest, Traceparent: p.Traceparent, Back: tail.Back(),
	}
	body := make([]byte, 0, p.bodySize())
	segments := make([]*events.Segment, 0, 2)
	var seg *events.Segment
	var next events.EventID
	for i, e := range p.Events {
		if seg == nil || p.begins(i) {
			if seg != nil {
				seg.Last = next - 1
			}
			seg = p.segment(i, e, tail, segments)
			segments = append(segments, seg)
			next = seg.First
		}
		b := p.encoded[i]
		switch {
		case e.EventId == 0:
			if err := p.checkReferences(i, e, seg.First); err != nil {
				return nil, err
			}
		case events.EventID(e.EventId) != next:
			return nil, &events.InvalidError{Field: field(i, "eventId"), Reason: fmt.Sprintf("is %d, the next of run %s is %d", e.EventId, seg.Run, next)}
		}
		start := len(body)
		body = p.appendEvent(body, e, b, next)
		seg.Size += int64(len(body) - start)
		seg.After = events.StatusAfter(seg.After, e)
		next++
	}
	seg.Last = next - 1
	if len(body) > limits.CommitBytes {
		return nil, p.commitTooLarge(len(body), limits)
	}
	for _, s := range segments {
		if err := p.checkHistory(s, limits); err != nil {
			return nil, err
		}
	}
	if len(segments) == 2 {
		c.Closed = segments[0]
	}
	c.Run = *segments[len(segments)-1]
	if p.Base != nil {
		c.Base = &p.based.ResetBase
	}
	c.Body = body
	c.Hash = c.ChainHash(tail.Hash())
	return c, nil
}

// segment begins the part of the commit that belongs to the run of event i.
func (p *prepared) segment(i int, e *events.Event, tail events.Cursor, before []*events.Segment) *events.Segment {
	if !p.begins(i) {
		return &events.Segment{
			Run: tail.Run(), First: tail.LastEventID() + 1, Type: tail.WorkflowType(), Before: tail.Status(), After: tail.Status(),
			Size: tail.Size(), RunFirst: tail.RunFirst(), PrevRunFirst: tail.PrevRunFirst(),
		}
	}
	s := &events.Segment{First: 1, Type: e.GetWorkflowExecutionStartedEventAttributes().GetWorkflowType().GetName()}
	if p.Base != nil {
		s.First, s.Type, s.After, s.Size = p.based.Event+1, p.based.workflowType, p.based.status, p.based.size
	}
	if i == p.opens {
		s.Run = p.RunID
	} else {
		s.Run = p.firstRun
	}
	if len(before) == 0 {
		s.PrevRunFirst = tail.RunFirst()
	} else {
		s.PrevRunFirst = before[0].RunFirst
	}
	return s
}

// nameFirstRun decides the id of a run that begins and ends in this commit,
// before the one that RunID names: what its start says, else one that is the
// same at every attempt.
func (p *prepared) nameFirstRun() error {
	if p.opens <= 0 || !events.Opens(p.Events[0]) {
		return nil
	}
	p.firstRun = events.RunID(p.Events[0].GetWorkflowExecutionStartedEventAttributes().GetOriginalExecutionRunId())
	if p.firstRun == "" {
		p.firstRun = events.RunID(uuid.NewSHA1(uuid.NameSpaceOID, []byte(p.CommitID)).String())
	} else {
		p.named = append(p.named, p.firstRun)
	}
	if p.firstRun == p.RunID {
		return &events.InvalidError{Field: field(p.opens, "runId"), Reason: fmt.Sprintf("is %s, as that of the run before it", p.RunID)}
	}
	return events.CheckID(field(0, "runId"), string(p.firstRun), events.MaxRunIDBytes)
}

func (p *prepared) bodySize() int {
	n := 0
	for _, b := range p.encoded {
		n += len(b) + 32
	}
	return n
}

// appendEvent adds an event to a History, with the id and the time that it was
// given if it had none: a field that is written again replaces nothing, since
// it was absent.
func (p *prepared) appendEvent(body []byte, e *events.Event, encoded []byte, id events.EventID) []byte {
	var extra [64]byte
	add := extra[:0]
	if e.EventId == 0 {
		add = protowire.AppendTag(add, 1, protowire.VarintType)
		add = protowire.AppendVarint(add, uint64(id))
	}
	if e.EventTime == nil {
		var t [24]byte
		ts := t[:0]
		ts = protowire.AppendTag(ts, 1, protowire.VarintType)
		ts = protowire.AppendVarint(ts, uint64(p.time.Unix()))
		if ns := p.time.Nanosecond(); ns != 0 {
			ts = protowire.AppendTag(ts, 2, protowire.VarintType)
			ts = protowire.AppendVarint(ts, uint64(ns))
		}
		add = protowire.AppendTag(add, 2, protowire.BytesType)
		add = protowire.AppendBytes(add, ts)
	}
	body = protowire.AppendTag(body, 1, protowire.BytesType)
	body = protowire.AppendVarint(body, uint64(len(add)+len(encoded)))
	body = append(body, add...)
	return append(body, encoded...)
}

// checkReferences refuses, under AtEnd, an event without an id whose commit
// refers to itself: the caller cannot know the ids that will be assigned.
func (p *prepared) checkReferences(i int, e *events.Event, first events.EventID) error {
	if _, ok := p.Expect.IsAtEnd(); !ok {
		return nil
	}
	m := e.ProtoReflect()
	oneof := m.WhichOneof(m.Descriptor().Oneofs().ByName("attributes"))
	if oneof == nil || oneof.Kind() != protoreflect.MessageKind {
		return nil
	}
	attributes := m.Get(oneof).Message()
	fields := attributes.Descriptor().Fields()
	for k := range fields.Len() {
		f := fields.Get(k)
		if f.Kind() != protoreflect.Int64Kind || f.IsList() || !strings.HasSuffix(string(f.Name()), "_event_id") || outside[f.Name()] {
			continue
		}
		if v := events.EventID(attributes.Get(f).Int()); v >= first {
			return &events.InvalidError{
				Field:  field(i, oneof.JSONName()+"."+f.JSONName()),
				Reason: fmt.Sprintf("refers to event %d, which is not before this commit; at the end of a run ids are not known: use an expectation with ids", v),
			}
		}
	}
	return nil
}

// outside lists references that point into another workflow's history.
var outside = map[protoreflect.Name]bool{"parent_initiated_event_id": true, "external_initiated_event_id": true}

// checkHistory holds the limits of a history. A run at its limit may still be
// closed: refusing that would leave it open for ever.
func (p *prepared) checkHistory(s *events.Segment, limits events.Limits) error {
	if !events.IsOpen(s.After) {
		return nil
	}
	const remedy = "close the run or continue it as new"
	if int64(s.Last) > limits.MaxEvents {
		return &events.LimitError{Workflow: p.Workflow, What: "events in run " + string(s.Run), Got: int64(s.Last), Max: limits.MaxEvents, Remedy: remedy}
	}
	if s.Size > limits.MaxBytes {
		return &events.LimitError{Workflow: p.Workflow, What: "bytes of history in run " + string(s.Run), Got: s.Size, Max: limits.MaxBytes, Remedy: remedy}
	}
	return nil
}

// warning says that an open run nears the limits, empty if it does not.
func warning(s *events.Segment, limits events.Limits) string {
	switch {
	case !events.IsOpen(s.After):
	case int64(s.Last) >= limits.WarnEvents:
		return fmt.Sprintf("run %s has %d events, at most %d are allowed: continue as new", s.Run, s.Last, limits.MaxEvents)
	case s.Size >= limits.WarnBytes:
		return fmt.Sprintf("run %s has %d bytes of history, at most %d are allowed: continue as new", s.Run, s.Size, limits.MaxBytes)
	}
	return ""
}
