package events

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// headerPrefix begins the headers that are the envelope's alone.
const headerPrefix = "A-"

// The headers of a commit. docs/adr/0003-wire-format.md is their specification.
const (
	headerFormat      = "Annals"        // "<format> <kind>"
	headerCommit      = "A-Commit"      // the commit id, escaped
	headerRun         = "A-Run"         // the newest run's segment
	headerClosed      = "A-Closed"      // the segment of the run that the commit closes, if it opens another
	headerType        = "A-Type"        // the workflow type of A-Run, escaped; absent if empty
	headerClosedType  = "A-Closed-Type" // the same of A-Closed; absent if it is A-Run's
	headerBack        = "A-Back"        // earlier commits of the workflow; absent in the first
	headerBase        = "A-Base"        // what A-Run resets, in the commit in which it begins
	headerVoid        = "A-Void"        // how many messages a void voids; in a void only
	headerDigest      = "A-Digest"
	headerChain       = "A-Chain"
	headerTraceparent = "traceparent"
	// headerExpected is the server's own: it stores a message that carries it
	// only if the last one of the subject has this sequence. So a stored commit
	// proves that nothing lies between it and the one that it follows, and a
	// message that was published without it is not a log's.
	headerExpected = "Nats-Expected-Last-Subject-Sequence"
)

// EncodeHeader writes the commit's envelope, with the header by which the
// server compares and sets. Position and Time are the server's and not part of
// it: RunFirst 0 means that the run begins in this commit.
func EncodeHeader(c *Commit) Header {
	n := 5
	for _, there := range [...]bool{
		c.Run.Run != "", c.Run.Type != "", c.Closed != nil, c.Closed != nil && c.Closed.Type != c.Run.Type,
		c.Base != nil, c.Void != nil, len(c.Back) > 0, c.Traceparent != "",
	} {
		if there {
			n++
		}
	}
	h := make(Header, n)           // a map of 8 or less is much cheaper
	values := make([]string, 0, n) // one allocation for all
	set := func(name, value string) {
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	set(headerExpected, strconv.FormatUint(c.expected(), 10))
	set(headerFormat, strconv.Itoa(Format)+" "+c.Kind.String())
	set(headerCommit, valueAlphabet.escape(string(c.ID)))
	if c.Run.Run != "" {
		set(headerRun, c.Run.encode(c.Closed != nil))
	}
	if c.Base != nil {
		set(headerBase, c.Base.encode())
	}
	if c.Void != nil {
		set(headerVoid, strconv.FormatUint(c.Void.Messages, 10))
	}
	if c.Run.Type != "" {
		set(headerType, valueAlphabet.escape(c.Run.Type))
	}
	if c.Closed != nil {
		set(headerClosed, c.Closed.encode(false))
		if c.Closed.Type != c.Run.Type {
			set(headerClosedType, valueAlphabet.escape(c.Closed.Type))
		}
	}
	if len(c.Back) > 0 {
		set(headerBack, encodeBack(c.Back))
	}
	set(headerDigest, c.Digest.String())
	set(headerChain, c.Hash.String())
	if c.Traceparent != "" {
		set(headerTraceparent, c.Traceparent)
	}
	return h
}

// known are the headers that a format 1 commit of each kind may carry. Readers
// refuse others of the prefix: they change what a commit means.
var known = map[Kind]map[string]bool{
	KindEvents: {
		headerCommit: true, headerRun: true, headerClosed: true, headerType: true, headerClosedType: true,
		headerBase: true, headerBack: true, headerDigest: true, headerChain: true,
	},
	KindVoid: {
		headerCommit: true, headerRun: true, headerType: true, headerVoid: true,
		headerBack: true, headerDigest: true, headerChain: true,
	},
}

// Decode reads a stored message as a commit. It fails with *CorruptError if the
// message is none: written past the library, damaged, or of a format or kind
// that this version does not know. What it accepts has exactly one form:
// EncodeHeader writes the same envelope again. It does not look into the body
// and cannot know the chain: see Commit.Segments and Commit.ChainHash.
func Decode(m Message) (*Commit, error) {
	c := &Commit{Position: m.Position, Time: m.Time, Header: m.Header, Body: m.Body}
	w, err := ParseSubject(m.Subject)
	if err != nil {
		return nil, &CorruptError{Position: m.Position, Reason: err.Error()}
	}
	c.Workflow = w
	d := decoder{header: m.Header}
	c.Kind = d.kind()
	known := known[c.Kind]
	for name := range m.Header {
		if strings.HasPrefix(name, headerPrefix) && !known[name] {
			d.fail(name, "is not known here")
		}
	}
	c.ID = CommitID(d.text(headerCommit))
	if c.Kind != KindVoid || d.has(headerRun) {
		c.Run = d.segment(headerRun, m.Position.Sequence, d.has(headerClosed))
	}
	if d.has(headerType) {
		if c.Run.Type = d.text(headerType); c.Run.Type == "" {
			d.fail(headerType, "is empty")
		}
	}
	if d.has(headerClosed) {
		s := d.segment(headerClosed, m.Position.Sequence, false)
		s.Type = c.Run.Type
		if d.has(headerClosedType) {
			if s.Type = d.text(headerClosedType); s.Type == c.Run.Type {
				d.fail(headerClosedType, "repeats %s", headerType)
			}
		}
		c.Closed = &s
		c.Run.PrevRunFirst = s.RunFirst
	} else if d.has(headerClosedType) {
		d.fail(headerClosedType, "stands without %s", headerClosed)
	}
	if d.has(headerBase) {
		c.Base = d.base()
	}
	if d.has(headerBack) {
		c.Back = d.back(m.Position.Sequence)
	}
	if c.Kind == KindVoid {
		c.Void = d.void(c.previous(), m.Position.Sequence)
	} else if v := d.one(headerExpected); v != strconv.FormatUint(c.previous(), 10) {
		d.fail(headerExpected, "is %q, and the commit before this one is %d", v, c.previous())
	}
	d.bytes(headerDigest, c.Digest[:])
	d.bytes(headerChain, c.Hash[:])
	if v := m.Header[headerTraceparent]; len(v) == 1 && ValidTraceparent(v[0]) {
		c.Traceparent = v[0]
	}
	if d.err == nil {
		d.err = c.checkEnvelope()
	}
	if d.err != nil {
		return nil, c.corrupt("%v", d.err)
	}
	return c, nil
}

// previous is the sequence of the workflow's commit before this one, 0 if there
// is none.
func (c *Commit) previous() uint64 {
	if len(c.Back) == 0 {
		return 0
	}
	return c.Back[0]
}

// expected is the sequence of the message that must be the subject's last when
// this one is stored.
func (c *Commit) expected() uint64 {
	if c.Void != nil {
		return c.Void.Last
	}
	return c.previous()
}

// checkEnvelope holds the rules between the fields of an envelope.
func (c *Commit) checkEnvelope() error {
	if err := CheckID(headerCommit, string(c.ID), MaxCommitIDBytes); err != nil {
		return err
	}
	if c.Kind == KindVoid {
		return c.checkVoid()
	}
	if c.Base != nil {
		if err := c.checkBase(); err != nil {
			return err
		}
	}
	if err := c.checkSegment(&c.Run, c.Closed != nil); err != nil {
		return err
	}
	if c.Closed == nil {
		return nil
	}
	switch {
	case IsOpen(c.Closed.After):
		return fmt.Errorf("%s leaves its run open", headerClosed)
	case !c.Run.Opens():
		return fmt.Errorf("%s beside a run that does not begin here", headerClosed)
	case c.Closed.Run == c.Run.Run:
		return fmt.Errorf("run %s is closed and begins", c.Run.Run)
	}
	return c.checkSegment(c.Closed, false)
}

// checkBase holds the rules between what a commit resets and the rest of it.
func (c *Commit) checkBase() error {
	b := c.Base
	if err := CheckID("base run", string(b.Run), MaxRunIDBytes); err != nil {
		return err
	}
	switch {
	case !c.Run.Opens() || b.Event < 1 || b.Run == c.Run.Run:
		return fmt.Errorf("run %s goes on from event %d of run %s", c.Run.Run, b.Event, b.Run)
	case len(c.Back) == 0 || b.Sequence == 0 || b.Sequence > c.Back[0]:
		return fmt.Errorf("the base lies at %d, and the commits before this one are %d", b.Sequence, c.Back)
	}
	return nil
}

// firstOf is the id of the event with which a run begins that a segment opens.
func (c *Commit) firstOf(s *Segment) EventID {
	if c.Base != nil && s == &c.Run {
		return c.Base.Event + 1
	}
	return 1
}

// checkVoid holds the rules of a void: its run is that of the commit before it,
// as that one left it, and its body is a reason.
func (c *Commit) checkVoid() error {
	if err := CheckVoidReason(string(c.Body)); err != nil {
		return err
	}
	s := &c.Run
	if s.Run == "" {
		if s.Type != "" {
			return fmt.Errorf("%s without %s", headerType, headerRun)
		}
		return nil
	}
	if err := CheckID("run", string(s.Run), MaxRunIDBytes); err != nil {
		return err
	}
	switch {
	case len(s.Type) > MaxWorkflowTypeBytes || !utf8.ValidString(s.Type):
		return fmt.Errorf("the workflow type of run %s is no text of at most %d bytes", s.Run, MaxWorkflowTypeBytes)
	case s.Last < 1 || s.First != s.Last+1 || s.Before == 0 || s.Before != s.After:
		return fmt.Errorf("a void goes on with run %s from event %d to %d and status %d to %d", s.Run, s.First, s.Last, s.Before, s.After)
	case len(c.Back) == 0 || s.RunFirst > c.Back[0] || s.PrevRunFirst > s.RunFirst:
		return fmt.Errorf("run %s began at %d, the run before it at %d, and the commits before this one are %d", s.Run, s.RunFirst, s.PrevRunFirst, c.Back)
	}
	return nil
}

// checkSegment holds the rules between a segment's fields, and between them and
// the earlier commits that the envelope names.
func (c *Commit) checkSegment(s *Segment, behindClosed bool) error {
	if err := CheckID("run", string(s.Run), MaxRunIDBytes); err != nil {
		return err
	}
	switch {
	case len(s.Type) > MaxWorkflowTypeBytes || !utf8.ValidString(s.Type):
		return fmt.Errorf("the workflow type of run %s is no text of at most %d bytes", s.Run, MaxWorkflowTypeBytes)
	case s.First < 1 || s.Last < s.First:
		return fmt.Errorf("run %s has events %d to %d", s.Run, s.First, s.Last)
	case s.Opens() != (s.First == c.firstOf(s)):
		return fmt.Errorf("run %s has event %d first and status %d before it", s.Run, s.First, s.Before)
	case s.After == 0:
		return fmt.Errorf("run %s has no status", s.Run)
	case s.Before != 0 && !IsOpen(s.Before):
		return fmt.Errorf("run %s goes on after it was closed", s.Run)
	case behindClosed:
		return nil // where it and the run before it begin is said by that one
	case s.PrevRunFirst > s.RunFirst || s.Opens() && s.PrevRunFirst == s.RunFirst:
		return fmt.Errorf("run %s began at %d and the run before it at %d", s.Run, s.RunFirst, s.PrevRunFirst)
	case s.Opens() && s.PrevRunFirst != 0 && len(c.Back) == 0:
		return fmt.Errorf("run %s begins at %d with %d commits before it and the run before it at %d", s.Run, s.RunFirst, len(c.Back), s.PrevRunFirst)
	case s.Opens() && len(c.Back) > 0 && s.PrevRunFirst > c.Back[0],
		!s.Opens() && (len(c.Back) == 0 || s.RunFirst > c.Back[0]):
		return fmt.Errorf("run %s began at %d, the run before it at %d, and the commits before this one are %d", s.Run, s.RunFirst, s.PrevRunFirst, c.Back)
	}
	return nil
}

// encode writes "<run> <first>-<last> <before>><after> <size> [<run first>|- [<prev run first>]]";
// what is absent is this commit, and no previous run. A run that is opened
// behind a closed one has that one as its previous, so it says neither.
func (s *Segment) encode(behindClosed bool) string {
	b := make([]byte, 0, 96)
	b = append(b, valueAlphabet.escape(string(s.Run))...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(s.First), 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, int64(s.Last), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(s.Before), 10)
	b = append(b, '>')
	b = strconv.AppendInt(b, int64(s.After), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, s.Size, 10)
	prev := s.PrevRunFirst
	if behindClosed {
		prev = 0
	}
	switch {
	case !s.Opens():
		b = append(b, ' ')
		b = strconv.AppendUint(b, s.RunFirst, 10)
	case prev != 0:
		b = append(b, " -"...)
	}
	if prev != 0 {
		b = append(b, ' ')
		b = strconv.AppendUint(b, prev, 10)
	}
	return string(b)
}

// encode writes "<run> <event> <sequence> <hash>".
func (b *ResetBase) encode() string {
	return fmt.Sprintf("%s %d %d %s", valueAlphabet.escape(string(b.Run)), b.Event, b.Sequence, b.Hash)
}

// encodeBack writes the newest sequence, then each distance to the next older.
func encodeBack(back []uint64) string {
	b := make([]byte, 0, 48)
	b = strconv.AppendUint(b, back[0], 10)
	for i := 1; i < len(back); i++ {
		b = append(b, ' ')
		b = strconv.AppendUint(b, back[i-1]-back[i], 10)
	}
	return string(b)
}

// decoder reads headers and keeps the first error.
type decoder struct {
	header Header
	err    error
}

func (d *decoder) fail(name, format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("header %s: %s", name, fmt.Sprintf(format, args...))
	}
}

// one is the single value of a header.
func (d *decoder) one(name string) string {
	v := d.header[name]
	if len(v) != 1 {
		if len(v) == 0 {
			d.fail(name, "is missing")
		} else {
			d.fail(name, "stands %d times", len(v))
		}
		return ""
	}
	return v[0]
}

func (d *decoder) text(name string) string {
	s, err := valueAlphabet.unescape(d.one(name))
	if err != nil {
		d.fail(name, "%v", err)
	}
	return s
}

func (d *decoder) kind() Kind {
	v := d.one(headerFormat)
	format, kind, _ := strings.Cut(v, " ")
	if d.err == nil && format != strconv.Itoa(Format) {
		d.fail(headerFormat, "format %q is not known here, only %d", format, Format)
	}
	if d.err == nil && kind == KindVoid.String() {
		return KindVoid
	}
	if d.err == nil && kind != KindEvents.String() {
		d.fail(headerFormat, "kind %q is not known here", kind)
	}
	return KindEvents
}

// void reads what a void behind the commit at previous says of the messages
// between: all lie there, as many as it says or more of other subjects.
func (d *decoder) void(previous, sequence uint64) *Void {
	v := &Void{Messages: d.number(headerVoid, d.one(headerVoid)), Last: d.number(headerExpected, d.one(headerExpected))}
	if d.err == nil && (v.Messages == 0 || v.Last >= sequence || v.Last < previous || v.Messages > v.Last-previous) {
		d.fail(headerVoid, "is %d messages up to %d, between the commits at %d and %d", v.Messages, v.Last, previous, sequence)
	}
	return v
}

func (d *decoder) number(name, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || (len(s) > 1 && s[0] == '0') {
		d.fail(name, "%q is not a number", s)
	}
	return n
}

func (d *decoder) has(name string) bool {
	_, ok := d.header[name]
	return ok
}

func (d *decoder) status(name, s string) Status {
	n := d.number(name, s)
	if n > 255 {
		d.fail(name, "%q is no status", s)
	}
	return Status(n)
}

// segment reads what Segment.encode wrote into the message at sequence.
func (d *decoder) segment(name string, sequence uint64, behindClosed bool) Segment {
	v := d.one(name)
	if d.err != nil {
		return Segment{}
	}
	f := strings.Split(v, " ")
	if len(f) < 4 || len(f) > 6 {
		d.fail(name, "%q has %d fields, not 4 to 6", v, len(f))
		return Segment{}
	}
	run, err := valueAlphabet.unescape(f[0])
	if err != nil {
		d.fail(name, "%v", err)
	}
	first, last, _ := strings.Cut(f[1], "-")
	before, after, _ := strings.Cut(f[2], ">")
	s := Segment{
		Run: RunID(run), First: EventID(d.number(name, first)), Last: EventID(d.number(name, last)),
		Before: d.status(name, before), After: d.status(name, after),
		Size: int64(d.number(name, f[3])), RunFirst: sequence,
	}
	switch {
	case s.Opens() && (behindClosed && len(f) > 4 || len(f) == 5 || len(f) == 6 && f[4] != "-"),
		!s.Opens() && len(f) == 4:
		d.fail(name, "%q has %d fields, which is not how a run with status %d before is written", v, len(f), s.Before)
		return Segment{}
	case !s.Opens():
		if s.RunFirst = d.number(name, f[4]); s.RunFirst == 0 || s.RunFirst >= sequence {
			d.fail(name, "the run began at %d, which is not before %d", s.RunFirst, sequence)
		}
	}
	if len(f) == 6 {
		if s.PrevRunFirst = d.number(name, f[5]); s.PrevRunFirst == 0 {
			d.fail(name, "the run before it began at 0")
		}
	}
	return s
}

func (d *decoder) base() *ResetBase {
	f := strings.Split(d.one(headerBase), " ")
	if len(f) != 4 {
		d.fail(headerBase, "has %d fields, not 4", len(f))
		return nil
	}
	run, err := valueAlphabet.unescape(f[0])
	if err != nil {
		d.fail(headerBase, "%v", err)
	}
	b := &ResetBase{Base: Base{RunID(run), EventID(d.number(headerBase, f[1]))}, Sequence: d.number(headerBase, f[2])}
	d.base64(headerBase, f[3], b.Hash[:])
	return b
}

func (d *decoder) back(sequence uint64) []uint64 {
	f := strings.Split(d.one(headerBack), " ")
	if len(f) > MaxBack {
		d.fail(headerBack, "names %d commits, at most %d", len(f), MaxBack)
		return nil
	}
	back := make([]uint64, len(f))
	for i, s := range f {
		n := d.number(headerBack, s)
		if i > 0 {
			if n == 0 || n >= back[i-1] {
				d.fail(headerBack, "distance %d at %d", n, back[i-1])
				return nil
			}
			n = back[i-1] - n
		}
		back[i] = n
	}
	if back[0] == 0 || back[0] >= sequence {
		d.fail(headerBack, "commit %d is not before %d", back[0], sequence)
	}
	return back
}

func (d *decoder) bytes(name string, into []byte) { d.base64(name, d.one(name), into) }

func (d *decoder) base64(name, s string, into []byte) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(into) {
		d.fail(name, "is not %d bytes of base64", len(into))
		return
	}
	copy(into, b)
}
