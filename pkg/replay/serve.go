package replay

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

// Serve has code answer what `annals replay` asks, until in ends: a program for
// --check is this in its main function, with os.Stdin and os.Stdout, on which
// nothing else may be printed. Code is called for one task after the other. An
// error or a panic of the code is an answer; Serve fails with what it cannot
// read or write.
func Serve(ctx context.Context, in io.Reader, out io.Writer, code Code) error {
	r := bufio.NewReader(in)
	var history []*events.Event
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		var q question
		if err := json.Unmarshal(line, &q); err != nil {
			return fmt.Errorf("read a question of annals replay: %w", err)
		}
		t, err := q.asTask(history)
		if err != nil {
			return fmt.Errorf("read task %d of annals replay: %w", q.Task, err)
		}
		history = t.History
		c := checking{code: code}
		commands, err := c.call(ctx, t)
		if errors.Is(err, ErrNotAsked) {
			return err
		}
		a := answer{Task: &q.Task}
		if err != nil {
			text := err.Error()
			a.Error = &text
		}
		for _, command := range commands {
			text, err := eventjson.EncodeMessage(command)
			if err != nil {
				return fmt.Errorf("answer task %d: %w", q.Task, err)
			}
			a.Commands = append(a.Commands, text)
		}
		text, err := json.Marshal(a)
		if err != nil {
			return err
		}
		if _, err := out.Write(append(text, '\n')); err != nil {
			return err
		}
	}
}

// asTask is the task that a question asks for, after a history so far.
func (q *question) asTask(history []*events.Event) (Task, error) {
	if q.Begin {
		history = nil
	}
	t := Task{
		Workflow: events.Workflow{Namespace: q.Workflow.Namespace, ID: q.Workflow.WorkflowID}, Run: q.Workflow.RunID, Type: q.Type,
		Next: q.Next, Recorded: q.Recorded, Versions: q.Versions,
	}
	var err error
	if q.Time != "" {
		if t.Time, err = time.Parse(time.RFC3339Nano, q.Time); err != nil {
			return t, err
		}
	}
	if t.Markers, err = eventsOf(q.Markers); err != nil {
		return t, err
	}
	if t.New, err = eventsOf(q.Events); err != nil {
		return t, err
	}
	t.History = append(history, t.New...)
	return t, nil
}

// eventsOf reads events leniently: the other side may know fields that this
// version does not.
func eventsOf(texts []json.RawMessage) ([]*events.Event, error) {
	var all []*events.Event
	for _, text := range texts {
		e := new(events.Event)
		if _, err := eventjson.DecodeMessage(text, e, eventjson.Options{Lenient: true}); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}
