package events

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Cursor is the end of a workflow's log as somebody saw it, and all that the
// next append needs: with it an append is one round trip. Append and Tail
// return it. It is a value, encodes as text, and is safe for concurrent use.
// The zero Cursor is the end of nothing.
type Cursor struct {
	logID        string
	epoch        uint32
	workflow     Workflow
	run          RunID
	last         EventID
	position     Position
	runFirst     uint64
	prevRunFirst uint64
	workflowType string
	status       Status
	size         int64
	hash         Hash
	back         []uint64
}

// IsZero reports whether the cursor is the end of nothing.
func (c Cursor) IsZero() bool { return c.position.Sequence == 0 }

// Workflow is the workflow whose end this is.
func (c Cursor) Workflow() Workflow { return c.workflow }

// Run is the newest run.
func (c Cursor) Run() RunID { return c.run }

// LastEventID is the id of the newest run's last event.
func (c Cursor) LastEventID() EventID { return c.last }

// Position is that of the last commit.
func (c Cursor) Position() Position { return c.position }

// Status is the newest run's.
func (c Cursor) Status() Status { return c.status }

// WorkflowType is the newest run's.
func (c Cursor) WorkflowType() string { return c.workflowType }

// Size is the bytes of the newest run's events.
func (c Cursor) Size() int64 { return c.size }

// Hash is the last commit's link of the chain.
func (c Cursor) Hash() Hash { return c.hash }

// RunFirst is the sequence of the commit in which the newest run began.
func (c Cursor) RunFirst() uint64 { return c.runFirst }

// PrevRunFirst is the sequence of the commit in which the run before the newest
// began, 0 if there is none.
func (c Cursor) PrevRunFirst() uint64 { return c.prevRunFirst }

// Back holds the sequences of the workflow's last commits, newest first, this
// one included: at most MaxBack hints. The caller must not change it.
func (c Cursor) Back() []uint64 { return c.back }

// Of reports whether the cursor belongs to this log, as *WrongLogError if not.
func (c Cursor) Of(id Identity) error {
	if c.logID != id.LogID {
		return &WrongLogError{What: "log id", Want: c.logID, Got: id.LogID}
	}
	if c.epoch != id.Epoch {
		return &WrongLogError{What: "epoch", Want: fmt.Sprint(c.epoch), Got: fmt.Sprint(id.Epoch)}
	}
	return nil
}

// String says where the workflow stood, for people.
func (c Cursor) String() string {
	if c.run == "" {
		return "no run"
	}
	return fmt.Sprintf("run %s at event %d, %s, position %s", c.run, c.last, c.status, c.position)
}

const cursorVersion = 1

// MarshalText encodes the cursor as opaque URL-safe text.
func (c Cursor) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, seal(c.append([]byte{cursorVersion}))), nil
}

// UnmarshalText decodes what MarshalText wrote, and refuses anything else.
func (c *Cursor) UnmarshalText(text []byte) error {
	b, err := open(text)
	if err != nil {
		return &InvalidError{Field: "cursor", Reason: err.Error()}
	}
	r := read(b)
	if v := r.byte(); v != cursorVersion {
		return &InvalidError{Field: "cursor", Reason: fmt.Sprintf("version %d is not known here", v)}
	}
	got := r.cursor()
	if err := r.end(func() []byte { return got.append([]byte{cursorVersion}) }); err != nil {
		return &InvalidError{Field: "cursor", Reason: err.Error()}
	}
	*c = got
	return nil
}

func (c Cursor) append(b []byte) []byte {
	b = appendText(b, c.logID)
	b = binary.AppendUvarint(b, uint64(c.epoch))
	b = appendText(b, c.workflow.Namespace)
	b = appendText(b, c.workflow.ID)
	b = appendText(b, string(c.run))
	b = binary.AppendUvarint(b, uint64(c.last))
	b = binary.AppendUvarint(b, uint64(c.position.Partition))
	b = binary.AppendUvarint(b, c.position.Sequence)
	b = binary.AppendUvarint(b, c.runFirst)
	b = binary.AppendUvarint(b, c.prevRunFirst)
	b = appendText(b, c.workflowType)
	b = append(b, byte(c.status))
	b = binary.AppendUvarint(b, uint64(c.size))
	b = append(b, c.hash[:]...)
	b = append(b, byte(len(c.back)))
	for _, s := range c.back {
		b = binary.AppendUvarint(b, s)
	}
	return b
}

// seal adds a checksum, so that a token that was cut or mistyped is not taken
// for another one.
func seal(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(b, sum[:4]...)
}

func open(text []byte) ([]byte, error) {
	if len(text) > 16<<10 {
		return nil, errors.New("is too long to be one")
	}
	b, err := base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	if err != nil || len(b) < 5 {
		return nil, errors.New("is not the text that was given out")
	}
	body := b[:len(b)-4]
	if sum := sha256.Sum256(body); [4]byte(sum[:4]) != [4]byte(b[len(b)-4:]) {
		return nil, errors.New("is damaged")
	}
	return body, nil
}

// reader decodes what append wrote and keeps the first error.
type reader struct {
	all []byte
	b   []byte
	err error
}

func read(b []byte) reader { return reader{all: b, b: b} }

func (r *reader) fail() {
	if r.err == nil {
		r.err = errors.New("is cut short")
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) bytes(into []byte) {
	if len(r.b) < len(into) {
		r.fail()
		return
	}
	r.b = r.b[copy(into, r.b):]
}

func (r *reader) cursor() Cursor {
	var c Cursor
	c.logID = r.text()
	c.epoch = uint32(r.uint())
	c.workflow = Workflow{Namespace: r.text(), ID: r.text()}
	c.run = RunID(r.text())
	c.last = EventID(r.uint())
	c.position = Position{Partition: Partition(r.uint()), Sequence: r.uint()}
	c.runFirst = r.uint()
	c.prevRunFirst = r.uint()
	c.workflowType = r.text()
	c.status = Status(r.byte())
	c.size = int64(r.uint())
	r.bytes(c.hash[:])
	if n := int(r.byte()); n > MaxBack {
		r.fail()
	} else if n > 0 {
		c.back = make([]uint64, n)
		for i := range c.back {
			c.back[i] = r.uint()
		}
	}
	if r.err == nil {
		r.err = c.check()
	}
	return c
}

// end says what was wrong, if anything: what was decoded must be written as it
// was read.
func (r *reader) end(again func() []byte) error {
	if r.err == nil && len(r.b) != 0 {
		r.err = errors.New("goes on where it should end")
	}
	if r.err == nil && !bytes.Equal(again(), r.all) {
		r.err = errors.New("is not the text that was given out")
	}
	return r.err
}

// check refuses a cursor that no commit can have made: an append would write
// what it says into the next envelope.
func (c Cursor) check() error {
	if c.IsZero() {
		if !bytes.Equal(c.append(nil), Cursor{}.append(nil)) {
			return errors.New("is at position 0 and not empty")
		}
		return nil
	}
	if err := c.workflow.Validate(); err != nil {
		return err
	}
	if c.run == "" { // a void before the first run
		if c.last != 0 || c.size != 0 || c.status != 0 || c.runFirst != 0 || c.workflowType != "" {
			return errors.New("has no run, and says something of it")
		}
	} else if err := CheckID("run", string(c.run), MaxRunIDBytes); err != nil {
		return err
	} else if c.last < 1 || c.size < 0 || c.status == 0 || c.runFirst == 0 {
		return errors.New("lacks what every run has")
	}
	switch {
	case c.logID == "" || c.position.Partition < 0:
		return errors.New("lacks what every cursor has")
	case c.runFirst > c.position.Sequence || c.prevRunFirst > c.runFirst:
		return errors.New("has runs that begin out of order")
	case len(c.workflowType) > MaxWorkflowTypeBytes || !utf8.ValidString(c.workflowType):
		return errors.New("has a workflow type that is none")
	case len(c.back) == 0 || c.back[0] != c.position.Sequence:
		return errors.New("does not name its own commit")
	}
	for i, s := range c.back {
		if s == 0 || i > 0 && s >= c.back[i-1] {
			return errors.New("names earlier commits out of order")
		}
	}
	return nil
}
