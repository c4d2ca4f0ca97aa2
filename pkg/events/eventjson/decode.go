package eventjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/annals-io/annals/pkg/events"
)

// What [Options] of zero mean.
const (
	// DefaultMaxBytes is 128 MiB: the largest history that a log takes, 50 MiB
	// in binary, takes about two thirds of it.
	DefaultMaxBytes = 128 << 20
	// DefaultMaxDepth is 1,000 levels, as many as common JSON readers take.
	DefaultMaxDepth = 1_000
)

// Options say how to decode. The zero value is strict, with the default limits.
type Options struct {
	// Lenient drops fields and enum names that this version of the API does not
	// know, and reports them, instead of refusing the input. It is for imports
	// of what other versions wrote, and forgives nothing else.
	Lenient bool
	// MaxBytes is how many bytes the input may have. 0 means DefaultMaxBytes.
	// Memory in use is a small multiple of the input, in the worst case, of
	// many events with nothing in them, about forty times its size.
	MaxBytes int
	// MaxDepth is how deep objects and arrays may be nested in an event or the
	// history around it. 0 means DefaultMaxDepth.
	MaxDepth int
}

func (o Options) withDefaults() Options {
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxDepth == 0 {
		o.MaxDepth = DefaultMaxDepth
	}
	return o
}

// eventDesc describes the message that all this is about.
var eventDesc = (*historypb.HistoryEvent)(nil).ProtoReflect().Descriptor()

// Decode reads the events of data, in one of the forms that the package
// documents, in their order. Event ids are taken as they are: whether they are
// dense is for the log to judge.
//
// Dropped lists, in the order of the input, the paths of what Lenient dropped,
// once for each place where it stood; it is always empty without Lenient.
//
// Errors: a [*FieldError], which holds every place at which the input is wrong,
// or one that wraps ErrSyntax, ErrNotHistory, ErrPartial, ErrTooLarge or
// ErrTooDeep. No events are returned with an error.
func Decode(data []byte, opts Options) (evs []*events.Event, dropped []string, err error) {
	opts = opts.withDefaults()
	if len(data) > opts.MaxBytes {
		return nil, nil, tooLarge(data, opts)
	}
	d := decoder{opts: opts}
	switch err := d.document(bytes.TrimPrefix(data, []byte("\ufeff"))); {
	case errors.Is(err, errEnough):
		return nil, nil, &FieldError{Problems: d.problems, More: true}
	case err != nil:
		return nil, nil, err
	case len(d.problems) > 0:
		return nil, nil, &FieldError{Problems: d.problems}
	}
	return d.events, d.dropped, nil
}

// errEnough ends decoding once a FieldError is full.
var errEnough = errors.New("enough problems")

type decoder struct {
	opts     Options
	events   []*events.Event
	dropped  []string
	problems []Problem
	count    int  // events seen, decoded or not
	full     bool // there were more problems than are kept
}

// report takes down a problem: as dropped if that is what is to be done about
// it, else for the error.
func (d *decoder) report(p Problem) {
	switch {
	case d.opts.Lenient && (errors.Is(p.Reason, ErrUnknownField) || errors.Is(p.Reason, ErrUnknownEnum)):
		d.dropped = append(d.dropped, p.Path)
	case len(d.problems) < maxProblems:
		d.problems = append(d.problems, p)
	default:
		d.full = true
	}
}

// document decodes all JSON values of data: the first one decides the form.
func (d *decoder) document(data []byte) error {
	if !utf8.Valid(data) {
		return notUTF8(data)
	}
	if json.Valid(data) { // one value, which is not copied: a history may be large
		t := text(bytes.Trim(data, " \t\r\n"))
		if err := checkDepth(t, d.opts); err != nil {
			return err
		}
		return d.only(t)
	}
	values := json.NewDecoder(bytes.NewReader(data))
	next := func() (text, error) {
		start := values.InputOffset()
		var raw json.RawMessage
		switch err := values.Decode(&raw); {
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		case err != nil:
			return nil, syntaxError(data, int(start), err)
		}
		return text(raw), checkDepth(text(raw), d.opts)
	}

	first, err := next()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: there is nothing", ErrNotHistory)
	}
	if err != nil {
		return err
	}
	if formOf(first) == formEvents {
		for value := first; ; {
			if err := d.event(value); err != nil {
				return err
			}
			if value, err = next(); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	if err := d.only(first); err != nil {
		return err
	}
	if _, err := next(); err == nil {
		return fmt.Errorf("%w: %s: more than one value", ErrNotHistory, place(data, int(values.InputOffset())))
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// only decodes the one value that there is.
func (d *decoder) only(t text) error {
	switch form := formOf(t); form {
	case formEvents:
		return d.event(t)
	case formUnknown:
		return fmt.Errorf("%w: have %s, want one with events, with a history, or an event", ErrNotHistory, t.kind(0))
	default:
		return d.container(t, form)
	}
}

// form is how an input holds its events.
type form int

const (
	formUnknown form = iota
	formArray        // an array of events
	formHistory      // a History
	formAnswer       // an answer of the history API: a History in an object
	formEvents       // one event after the other
)

// formOf tells the form by the first value.
func formOf(t text) form {
	switch t[0] {
	case '[':
		return formArray
	case '{':
		f := formUnknown
		t.members(0, func(key, value int) int {
			switch name := t.unquote(key); {
			case name == "events":
				f = formHistory
			case name == "history" && f != formHistory:
				f = formAnswer
			case identifiesEvent(name) && f == formUnknown:
				f = formEvents
			}
			return t.endOfValue(value)
		})
		return f
	}
	return formUnknown
}

// identifiesEvent reports whether an object with a member of this name is an
// event rather than something else.
func identifiesEvent(name string) bool {
	field := fieldByName(eventDesc, name)
	return field != nil && (field.Name() == "event_type" || field.Name() == "event_id")
}

// container decodes the events that the value holds in one of the forms that
// are a single value.
func (d *decoder) container(t text, f form) error {
	switch f {
	case formArray:
		return d.array(t, 0)
	case formHistory:
		return d.object(t, 0, "events", d.array)
	}
	return d.object(t, 0, "history", func(t text, i int) error {
		if t[i] != '{' {
			return fmt.Errorf("%w: history: want an object, have %s", ErrNotHistory, t.kind(i))
		}
		return d.object(t, i, "events", d.array)
	})
}

// object decodes the one member of the object that begins at i which holds the
// events. Of the others, those of the history API's answer are known.
func (d *decoder) object(t text, i int, name string, member func(t text, i int) error) error {
	var err error
	var seen nameSet
	t.members(i, func(key, value int) int {
		switch have := t.unquote(key); {
		case !seen.add(have):
			d.report(Problem{Path: string(path(nil).field(have)), Reason: ErrDuplicate, Detail: "the name is there already"})
		case have == name:
			err = member(t, value)
		case name == "history" && (have == "nextPageToken" || have == "next_page_token"):
			if !t.isNull(value) && string(t[value:t.endOfValue(value)]) != `""` {
				err = fmt.Errorf("%w: %s is not empty", ErrPartial, have)
			}
		case name == "history" && have == "archived":
		default:
			d.report(Problem{Path: string(path(nil).field(have)), Reason: ErrUnknownField})
		}
		if err == nil && d.full {
			err = errEnough
		}
		if err != nil {
			return -1
		}
		return t.endOfValue(value)
	})
	return err
}

// array decodes the events of the array that begins at i.
func (d *decoder) array(t text, i int) error {
	if t.isNull(i) {
		return nil
	}
	if t[i] != '[' {
		return fmt.Errorf("%w: events: want an array, have %s", ErrNotHistory, t.kind(i))
	}
	var err error
	t.elements(i, func(_, value int) int {
		end := t.endOfValue(value)
		if err == nil {
			err = d.event(t[value:end])
		}
		return end
	})
	return err
}

// event decodes one event.
func (d *decoder) event(t text) error {
	before := len(d.problems)
	w := walk{text: t, at: path("events").index(d.count), report: d.report}
	d.count++
	w.message(0, eventDesc)
	if d.full {
		return errEnough
	}
	if len(d.problems) > before {
		return nil
	}

	e := new(historypb.HistoryEvent)
	// Only where the walk has found something to drop may the decoder drop
	// anything: should the two ever differ, that is an error and no loss.
	options := temporalproto.CustomJSONUnmarshalOptions{DiscardUnknown: w.dropped > 0}
	if err := options.Unmarshal(w.edits.apply(t), e); err != nil {
		d.locate(t, w.at, eventDesc, err)
		return nil
	}
	// Any object at all would pass for an event once its unknown fields are
	// dropped, if it did not have to say which event it is.
	if e.EventId == 0 && e.EventType == 0 {
		w.problem(ErrInvalidValue, "an event has an eventType or an eventId")
		return nil
	}
	d.events = append(d.events, e)
	return nil
}

// typeName names what a value of the field has to be, for messages.
func typeName(field protoreflect.FieldDescriptor) string {
	if field.IsMap() {
		field = field.MapValue()
	}
	switch {
	case field.Message() != nil:
		return "a " + string(field.Message().Name())
	case field.Enum() != nil:
		return "a name of " + string(field.Enum().Name())
	case field.Kind() == protoreflect.BytesKind:
		return "base64"
	}
	return "a value of type " + field.Kind().String()
}

// syntaxError says where the value that begins at start stops being JSON.
func syntaxError(data []byte, start int, err error) error {
	at := len(data)
	var syntax *json.SyntaxError
	if !errors.Is(err, io.ErrUnexpectedEOF) && errors.As(json.Unmarshal(data[start:], new(json.RawMessage)), &syntax) {
		at = start + int(syntax.Offset) - 1 // the offset is that after the offending byte
	}
	return fmt.Errorf("%w: %s: %w", ErrSyntax, place(data, at), err)
}

// place is an offset into data as line and column, in bytes, both from 1.
func place(data []byte, offset int) string {
	before := data[:min(offset, len(data))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("line %d, column %d", line, column)
}

// invalidUTF8 is the offset of the first byte that is not UTF-8.
func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(data)
}
