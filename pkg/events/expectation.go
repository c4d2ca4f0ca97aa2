package events

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"
)

// Expectation is what an append takes for granted of its workflow. The zero
// value is NewRun.
type Expectation struct {
	kind    expectKind
	cursor  Cursor
	run     RunID
	event   EventID
	attempt *Attempt
}

type expectKind uint8

const (
	expectNewRun expectKind = iota
	expectAfter
	expectAfterEvent
	expectAtEnd
	expectNewWorkflow
)

// NewRun expects that no run is open, and starts one.
func NewRun() Expectation { return Expectation{} }

// NewWorkflow expects that the workflow has no history at all (a void is none),
// and starts its first run. A repeat with the same commit id is recognised for ever.
func NewWorkflow() Expectation { return Expectation{kind: expectNewWorkflow} }

// After expects exactly the history that the cursor is the end of. After a
// closed cursor the append may start the next run.
func After(c Cursor) Expectation { return Expectation{kind: expectAfter, cursor: c} }

// AfterEvent is After for a caller that has no cursor: event id is the last one
// of run, and run the newest. It costs a read, unless the log has seen lately
// that the workflow ends there.
func AfterEvent(run RunID, id EventID) Expectation {
	return Expectation{kind: expectAfterEvent, run: run, event: id}
}

// AtEnd appends wherever the workflow's newest run ends, for signals and
// cancel requests. A closed run is refused with ErrClosed.
func AtEnd() Expectation { return Expectation{kind: expectAtEnd} }

// AtEndOf is AtEnd for one run: refused with ErrClosed once that run is closed.
func AtEndOf(run RunID) Expectation { return Expectation{kind: expectAtEnd, run: run} }

// IsNewRun reports whether a run is to be started on a workflow without an open one.
func (e Expectation) IsNewRun() bool { return e.kind == expectNewRun }

// IsNewWorkflow reports whether the first run of a workflow is to be started.
func (e Expectation) IsNewWorkflow() bool { return e.kind == expectNewWorkflow }

// IsAtEnd reports whether the append follows the workflow to wherever it ends,
// in one run only if run is not empty.
func (e Expectation) IsAtEnd() (run RunID, ok bool) { return e.run, e.kind == expectAtEnd }

// AfterCursor is the cursor of After.
func (e Expectation) AfterCursor() (Cursor, bool) { return e.cursor, e.kind == expectAfter }

// AfterRunEvent is what AfterEvent was given.
func (e Expectation) AfterRunEvent() (RunID, EventID, bool) {
	return e.run, e.event, e.kind == expectAfterEvent
}

// Attempt is what an append of unknown outcome was tried against, and what it
// assigned: enough to send identical bytes again.
type Attempt struct {
	After Cursor    // zero: the workflow did not exist
	Time  time.Time // given to events that had none
	Run   RunID     // given to the run that the commit starts
}

// Attempted is the attempt that the expectation carries, if it comes from an
// OutcomeUnknownError.
func (e Expectation) Attempted() (Attempt, bool) {
	if e.attempt == nil {
		return Attempt{}, false
	}
	return *e.attempt, true
}

// WithAttempt is the expectation with what was tried. Logs use it.
func (e Expectation) WithAttempt(a Attempt) Expectation {
	e.attempt = &a
	return e
}

// String says what is expected, for people.
func (e Expectation) String() string {
	switch e.kind {
	case expectAfter:
		return e.cursor.String()
	case expectAfterEvent:
		return fmt.Sprintf("run %s at event %d", e.run, e.event)
	case expectAtEnd:
		if e.run != "" {
			return fmt.Sprintf("run %s open", e.run)
		}
		return "an open run"
	case expectNewWorkflow:
		return "no run at all"
	default:
		return "no open run"
	}
}

const expectationVersion = 1

// MarshalText encodes the expectation, with its attempt if it has one, as
// opaque URL-safe text.
func (e Expectation) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, seal(e.append([]byte{expectationVersion}))), nil
}

func (e Expectation) append(b []byte) []byte {
	b = append(b, byte(e.kind))
	b = e.cursor.append(b)
	b = appendText(b, string(e.run))
	b = binary.AppendUvarint(b, uint64(e.event))
	if e.attempt == nil {
		b = append(b, 0)
	} else {
		b = append(b, 1)
		b = e.attempt.After.append(b)
		b = binary.AppendVarint(b, e.attempt.Time.Unix())
		b = binary.AppendUvarint(b, uint64(e.attempt.Time.Nanosecond()))
		b = appendText(b, string(e.attempt.Run))
	}
	return b
}

// UnmarshalText decodes what MarshalText wrote, and refuses anything else.
func (e *Expectation) UnmarshalText(text []byte) error {
	b, err := open(text)
	if err != nil {
		return &InvalidError{Field: "expectation", Reason: err.Error()}
	}
	r := read(b)
	if v := r.byte(); v != expectationVersion {
		return &InvalidError{Field: "expectation", Reason: fmt.Sprintf("version %d is not known here", v)}
	}
	got := Expectation{kind: expectKind(r.byte())}
	if got.kind > expectNewWorkflow {
		r.fail()
	}
	got.cursor = r.cursor()
	got.run = RunID(r.text())
	got.event = EventID(r.uint())
	if r.byte() == 1 {
		a := &Attempt{After: r.cursor()}
		seconds := r.int()
		a.Time = time.Unix(seconds, int64(r.uint()%1e9)).UTC()
		a.Run = RunID(r.text())
		got.attempt = a
	}
	if err := r.end(func() []byte { return got.append([]byte{expectationVersion}) }); err != nil {
		return &InvalidError{Field: "expectation", Reason: err.Error()}
	}
	*e = got
	return nil
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}
