package events

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// The headers of a commit. docs/adr/0003-wire-format.md is their specification.
const (
	headerFormat      = "Annals"        // "<format> <kind>"
	headerCommit      = "A-Commit"      // the commit id, escaped
	headerRun         = "A-Run"         // the newest run's segment
	headerClosed      = "A-Closed"      // the segment of the run that the commit closes, if it opens another
	headerType        = "A-Type"        // the workflow type of A-Run, escaped; absent if empty
	headerClosedType  = "A-Closed-Type" // the same of A-Closed; absent if it is A-Run's
	headerBack        = "A-Back"        // earlier commits of the workflow; absent in the first
	headerDigest      = "A-Digest"
	headerChain       = "A-Chain"
	headerTraceparent = "traceparent"
)

// EncodeHeader writes the commit's envelope. Position and Time are the
// server's and not part of it: RunFirst 0 means that the run begins in this
// commit.
func EncodeHeader(c *Commit) Header {
	h := make(Header, 10)
	h[headerFormat] = []string{strconv.Itoa(Format) + " " + c.Kind.String()}
	h[headerCommit] = []string{encodeValue(string(c.ID))}
	h[headerRun] = []string{c.Run.encode(c.Closed != nil)}
	if c.Run.Type != "" {
		h[headerType] = []string{encodeValue(c.Run.Type)}
	}
	if c.Closed != nil {
		h[headerClosed] = []string{c.Closed.encode(false)}
		if c.Closed.Type != c.Run.Type {
			h[headerClosedType] = []string{encodeValue(c.Closed.Type)}
		}
	}
	if len(c.Back) > 0 {
		h[headerBack] = []string{encodeBack(c.Back)}
	}
	h[headerDigest] = []string{c.Digest.String()}
	h[headerChain] = []string{c.Hash.String()}
	if c.Traceparent != "" {
		h[headerTraceparent] = []string{c.Traceparent}
	}
	return h
}

// Decode reads a stored message as a commit. It fails with *CorruptError if the
// message is none: written past the library, damaged, or of a format or kind
// that this version does not know. It does not look into the body and cannot
// know the chain: see Commit.Segments and Commit.ChainHash.
func Decode(m Message) (*Commit, error) {
	c := &Commit{Position: m.Position, Time: m.Time, Body: m.Body}
	w, err := ParseSubject(m.Subject)
	if err != nil {
		return nil, &CorruptError{Position: m.Position, Reason: err.Error()}
	}
	c.Workflow = w
	d := decoder{header: m.Header}
	c.Kind = d.kind()
	c.ID = CommitID(d.text(headerCommit))
	c.Run = d.segment(headerRun, m.Position.Sequence)
	if _, ok := m.Header[headerType]; ok {
		c.Run.Type = d.text(headerType)
	}
	if _, ok := m.Header[headerClosed]; ok {
		s := d.segment(headerClosed, m.Position.Sequence)
		s.Type = c.Run.Type
		if _, ok := m.Header[headerClosedType]; ok {
			s.Type = d.text(headerClosedType)
		}
		c.Closed = &s
		c.Run.PrevRunFirst = s.RunFirst
	}
	if _, ok := m.Header[headerBack]; ok {
		c.Back = d.back(m.Position.Sequence)
	}
	d.bytes(headerDigest, c.Digest[:])
	d.bytes(headerChain, c.Hash[:])
	if v := m.Header[headerTraceparent]; len(v) == 1 {
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

// checkEnvelope holds the rules between the fields of an envelope.
func (c *Commit) checkEnvelope() error {
	if err := CheckID(headerCommit, string(c.ID), MaxCommitIDBytes); err != nil {
		return err
	}
	segments := []*Segment{&c.Run}
	if c.Closed != nil {
		segments = append(segments, c.Closed)
		if IsOpen(c.Closed.After) {
			return fmt.Errorf("%s leaves its run open", headerClosed)
		}
		if !c.Run.Opens() {
			return fmt.Errorf("%s beside a run that does not begin here", headerClosed)
		}
	}
	for _, s := range segments {
		switch {
		case CheckID("run", string(s.Run), MaxRunIDBytes) != nil:
			return CheckID("run", string(s.Run), MaxRunIDBytes)
		case s.First < 1 || s.Last < s.First:
			return fmt.Errorf("run %s has events %d to %d", s.Run, s.First, s.Last)
		case s.After == 0:
			return fmt.Errorf("run %s has no status", s.Run)
		case s.Before != 0 && !IsOpen(s.Before):
			return fmt.Errorf("run %s goes on after it was closed", s.Run)
		case s.Opens() && s.RunFirst != c.Position.Sequence:
			return fmt.Errorf("run %s begins here and at %d", s.Run, s.RunFirst)
		case s.RunFirst > c.Position.Sequence || s.PrevRunFirst > s.RunFirst:
			return fmt.Errorf("run %s began at %d and the run before it at %d", s.Run, s.RunFirst, s.PrevRunFirst)
		}
	}
	return nil
}

// encode writes "<run> <first>-<last> <before>><after> <size> [<run first>|- [<prev run first>]]";
// what is absent is this commit, and no previous run. A run that is opened
// behind a closed one has that one as its previous, so it says neither.
func (s *Segment) encode(behindClosed bool) string {
	b := make([]byte, 0, 96)
	b = append(b, encodeValue(string(s.Run))...)
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

// encodeValue writes a text as a header value without spaces: as encodeToken
// does, but for the bytes that only a subject gives a meaning.
func encodeValue(s string) string {
	escapes := 0
	for i := range len(s) {
		if !plainValue(s[i]) {
			escapes++
		}
	}
	if escapes == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*escapes)
	for i := range len(s) {
		if c := s[i]; plainValue(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
}

func plainValue(c byte) bool { return c > ' ' && c < 0x7f && c != '%' }

func decodeValue(v string) (string, error) {
	if strings.IndexByte(v, '%') < 0 {
		return v, nil
	}
	b := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		if v[i] != '%' {
			b = append(b, v[i])
			continue
		}
		if i+2 >= len(v) {
			return "", fmt.Errorf("escape at %d is cut short", i)
		}
		x, err := strconv.ParseUint(v[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("escape %q is not hexadecimal", v[i:i+3])
		}
		b = append(b, byte(x))
		i += 2
	}
	return string(b), nil
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
	s, err := decodeValue(d.one(name))
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
	if kind != KindEvents.String() {
		d.fail(headerFormat, "kind %q is not known here", kind)
	}
	return KindEvents
}

func (d *decoder) number(name, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || (len(s) > 1 && s[0] == '0') {
		d.fail(name, "%q is not a number", s)
	}
	return n
}

func (d *decoder) segment(name string, sequence uint64) Segment {
	v := d.one(name)
	if d.err != nil {
		return Segment{}
	}
	f := strings.Split(v, " ")
	if len(f) < 4 || len(f) > 6 {
		d.fail(name, "%q has %d fields, not 4 to 6", v, len(f))
		return Segment{}
	}
	run, err := decodeValue(f[0])
	if err != nil {
		d.fail(name, "%v", err)
	}
	first, last, _ := strings.Cut(f[1], "-")
	before, after, _ := strings.Cut(f[2], ">")
	s := Segment{
		Run: RunID(run), First: EventID(d.number(name, first)), Last: EventID(d.number(name, last)),
		Before: Status(d.number(name, before) & 0xff), After: Status(d.number(name, after) & 0xff),
		Size: int64(d.number(name, f[3])), RunFirst: sequence,
	}
	if len(f) > 4 && f[4] != "-" {
		s.RunFirst = d.number(name, f[4])
	}
	if len(f) > 5 {
		s.PrevRunFirst = d.number(name, f[5])
	}
	return s
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

func (d *decoder) bytes(name string, into []byte) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(d.one(name))
	if err != nil || len(b) != len(into) {
		d.fail(name, "is not %d bytes of base64", len(into))
		return
	}
	copy(into, b)
}
