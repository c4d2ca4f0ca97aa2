package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

// question is a line to the program. See docs/replay.md.
type question struct {
	Task     int               `json:"task"`
	Begin    bool              `json:"begin"`
	Workflow workflow          `json:"workflow"`
	Type     string            `json:"workflowType"`
	Next     events.EventID    `json:"next"`
	Time     string            `json:"time,omitempty"`
	Recorded bool              `json:"recorded"`
	Versions map[string]int    `json:"versions"`
	Markers  []json.RawMessage `json:"markers"`
	Events   []json.RawMessage `json:"events"`
}

type workflow struct {
	Namespace  string       `json:"namespace"`
	WorkflowID string       `json:"workflowId"`
	RunID      events.RunID `json:"runId"`
}

// EncodeTask is the line that asks a program for the n-th task that it is given,
// from 1, ended by a newline: the protocol of `annals replay --check`. It fails
// if JSON cannot hold an event.
func EncodeTask(n int, t Task) ([]byte, error) {
	q := question{
		Task: n, Begin: len(t.New) == len(t.History), Workflow: workflow{t.Workflow.Namespace, t.Workflow.ID, t.Run}, Type: t.Type,
		Next: t.Next, Recorded: t.Recorded, Versions: t.Versions,
	}
	if !t.Time.IsZero() {
		q.Time = t.Time.UTC().Format(time.RFC3339Nano)
	}
	var err error
	if q.Markers, err = lines(t.Markers); err != nil {
		return nil, err
	}
	if q.Events, err = lines(t.New); err != nil {
		return nil, err
	}
	text, err := json.Marshal(q)
	return append(text, '\n'), err
}

func lines(evs []*events.Event) ([]json.RawMessage, error) {
	all := make([]json.RawMessage, len(evs))
	for i, e := range evs {
		text, err := eventjson.EncodeEvent(e)
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", e.GetEventId(), err)
		}
		all[i] = text
	}
	return all, nil
}

// answer is a line of the program.
type answer struct {
	Task     *int              `json:"task"`
	Commands []json.RawMessage `json:"commands,omitempty"`
	Events   []json.RawMessage `json:"events,omitempty"`
	Error    *string           `json:"error,omitempty"`
}

// shown is how much of a line that is no answer an error shows.
const shown = 200

// DecodeAnswer reads the line by which a program answers its n-th task. It fails
// with a *CodeError if the program says that its code has no answer to the
// history; every other error wraps ErrNotAsked and says what is wrong with the
// line.
func DecodeAnswer(line []byte, n int) ([]*Command, error) {
	commands, err := decodeAnswer(line, n)
	var none *CodeError
	if err != nil && !errors.As(err, &none) {
		err = fmt.Errorf("%w: it %w", ErrNotAsked, err)
	}
	return commands, err
}

func decodeAnswer(line []byte, n int) ([]*Command, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	var a answer
	if err := d.Decode(&a); err != nil {
		return nil, fmt.Errorf("printed what is no answer (standard output is for answers, a line of JSON each; all else belongs on standard error): %w: %s", err, excerpt(line))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("printed more than one value on a line: %s", excerpt(line))
	}
	switch {
	case a.Task == nil:
		return nil, fmt.Errorf("printed an answer without the number of its task: %s", excerpt(line))
	case *a.Task != n:
		return nil, fmt.Errorf("answered task %d when it was asked for task %d: one answer a task, in their order", *a.Task, n)
	case a.Error != nil && strings.TrimSpace(*a.Error) == "":
		return nil, &CodeError{Reason: "(it does not say why)"}
	case a.Error != nil:
		return nil, &CodeError{Reason: *a.Error}
	case a.Commands != nil && a.Events != nil:
		return nil, fmt.Errorf("answered with commands and with events: one of them says it")
	}
	var commands []*Command
	for i, text := range a.Commands {
		c := new(Command)
		at := fmt.Sprintf("commands[%d]", i)
		if err := decodeAt(at, text, c); err != nil {
			return nil, fmt.Errorf("answered with commands of which number %d is none: %w", i, err)
		}
		switch {
		case c.GetCommandType() == 0:
			return nil, fmt.Errorf("answered with commands of which number %d has no commandType: %s", i, excerpt(text))
		case enumName(c.GetCommandType()) == "":
			return nil, fmt.Errorf("answered with commands of which number %d is none: %s.commandType: %d is no type of command", i, at, c.GetCommandType())
		}
		if err := fits(at, c.ProtoReflect(), "commandType", c.GetCommandType().String(), commandField(c.GetCommandType())); err != nil {
			return nil, fmt.Errorf("answered with commands of which number %d is none: %w", i, err)
		}
		commands = append(commands, c)
	}
	for i, text := range a.Events {
		e := new(events.Event)
		at := fmt.Sprintf("events[%d]", i)
		if err := decodeAt(at, text, e); err != nil {
			return nil, fmt.Errorf("answered with events of which number %d is none: %w", i, err)
		}
		c := CommandOf(e)
		if c == nil {
			return nil, fmt.Errorf("answered with events of which number %d (%s) is none that code decides on", i, e.GetEventType())
		}
		name := strings.TrimPrefix(string(e.GetEventType().Descriptor().Values().ByNumber(e.GetEventType().Number()).Name()), "EVENT_TYPE_")
		if err := fits(at, e.ProtoReflect(), "eventType", e.GetEventType().String(), strings.ToLower(name)+"_event_attributes"); err != nil {
			return nil, fmt.Errorf("answered with events of which number %d is none: %w", i, err)
		}
		commands = append(commands, c)
	}
	return commands, nil
}

// decodeAt reads a message that stands at a path of the answer, by which it is
// refused.
func decodeAt(at string, text json.RawMessage, m proto.Message) error {
	_, err := eventjson.DecodeMessage(text, m, eventjson.Options{})
	var fields *eventjson.FieldError
	if errors.As(err, &fields) {
		for i, p := range fields.Problems {
			fields.Problems[i].Path = strings.TrimSuffix(at+"."+p.Path, ".")
		}
	}
	return err
}

// fits refuses attributes that are not those of the type beside them.
func fits(at string, m protoreflect.Message, typeField, typeName, want string) error {
	set := m.WhichOneof(m.Descriptor().Oneofs().ByName("attributes"))
	if set == nil || string(set.Name()) == want {
		return nil
	}
	wanted := "has no attributes"
	if f := m.Descriptor().Fields().ByName(protoreflect.Name(want)); f != nil {
		wanted = "has " + f.JSONName()
	}
	return fmt.Errorf("%s.%s: %s %s, and not %s", at, typeField, typeName, wanted, set.JSONName())
}

func excerpt(line []byte) string {
	text := bytes.TrimSpace(line)
	if len(text) > shown {
		return fmt.Sprintf("%q…", text[:shown])
	}
	return fmt.Sprintf("%q", text)
}
