package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
	"github.com/annals-io/annals/pkg/execution"
)

// CheckReport is what a check found of one run.
type CheckReport struct {
	File     string // that the history is from; empty: it is from a log. CheckHistory leaves it empty
	Workflow events.Workflow
	Run      events.RunID
	Type     string // of the workflow
	Events   int    // in the history
	Tasks    int    // that the code was asked for
	Commands int    // that were recorded and asked for alike
	// Mismatch is where code and history part first; nil: they agree.
	Mismatch *Mismatch
	// Ahead is what the code would ask for next, where the history ends and
	// something has happened since the last task. It was compared with
	// nothing.
	Ahead []*Command
}

// Agrees reports whether the code does what was recorded.
func (r *CheckReport) Agrees() bool { return r.Mismatch == nil }

// Name says which history was checked, for people: the workflow, and the run and
// the file where there is one.
func (r *CheckReport) Name() string {
	name := printable(r.Workflow.String())
	if r.Run != "" {
		name += " run " + printable(string(r.Run))
	}
	if r.File != "" {
		name += " (" + printable(r.File) + ")"
	}
	return name
}

// Mismatch is the first event at which the commands of code differ from those
// recorded.
type Mismatch struct {
	EventID     events.EventID // of Recorded, else of what follows on what was decided
	TaskEventID events.EventID // that completed the workflow task; 0: the engine has none
	Reason      string
	Recorded    *events.Event // nil: nothing more was recorded in this task
	Issued      *Command      // nil: the code asks for nothing more
	// Fields are those by which the two differ, if they are of one type.
	Fields []FieldMismatch
	// AllRecorded and AllIssued are what was compared of the task. The code
	// has issued none if it has no answer.
	AllRecorded, AllIssued []*Command
	// Around are the events about EventID, in their order.
	Around []*events.Event
}

// String is the report for people: a line if code and history agree, else where
// they part, both sides, and the events around.
func (r *CheckReport) String() string {
	name := r.Name()
	if r.Agrees() {
		return fmt.Sprintf("%s: agrees, %d events, %d tasks, %d commands", name, r.Events, r.Tasks, r.Commands)
	}
	m := r.Mismatch
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: differs at event %d", name, m.EventID)
	if m.TaskEventID != 0 {
		fmt.Fprintf(&b, ", decided by the workflow task that event %d completed", m.TaskEventID)
	}
	b.WriteString("\n")
	for line := range strings.SplitSeq(strings.TrimSuffix(m.Reason, "\n"), "\n") {
		fmt.Fprintf(&b, "  %s\n", printable(line)) // it may be a program's
	}
	fmt.Fprintf(&b, "  recorded: %s\n", sideText(m.Recorded))
	fmt.Fprintf(&b, "  the code: %s\n", commandText(m.Issued))
	for _, f := range m.Fields {
		fmt.Fprintf(&b, "    %s: recorded %s, the code has %s\n", f.Field, printed(f.Recorded, "nothing"), printed(f.Issued, "nothing"))
	}
	if len(m.AllRecorded) > 1 || len(m.AllIssued) > 1 {
		fmt.Fprintf(&b, "  all that was recorded: %s\n", allText(m.AllRecorded))
		fmt.Fprintf(&b, "  all that the code has: %s\n", allText(m.AllIssued))
	}
	b.WriteString("  the events around:\n")
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, e := range m.Around {
		mark := " "
		if events.EventID(e.GetEventId()) == m.EventID {
			mark = ">"
		}
		fmt.Fprintf(w, "  %s %d\t%s\t%s\n", mark, e.GetEventId(), e.GetEventType(), printed(execution.EventName(e), "-"))
	}
	_ = w.Flush() // into memory
	return strings.TrimSuffix(b.String(), "\n")
}

func sideText(e *events.Event) string {
	if e == nil {
		return "nothing more"
	}
	return fmt.Sprintf("event %d, %s", e.GetEventId(), describe(CommandOf(e)))
}

func commandText(c *Command) string {
	if c == nil {
		return "nothing more"
	}
	return describe(c)
}

func allText(all []*Command) string {
	if len(all) == 0 {
		return "nothing"
	}
	parts := make([]string, len(all))
	for i, c := range all {
		parts[i] = describe(c)
	}
	return strings.Join(parts, ", ")
}

// MarshalJSON is the report as `annals replay -o json` prints it. Events and
// commands are Temporal's JSON; a side of a mismatch that has nothing is null.
func (r *CheckReport) MarshalJSON() ([]byte, error) {
	var failed error
	command := func(c *Command) json.RawMessage {
		if c == nil {
			return json.RawMessage("null")
		}
		text, err := eventjson.EncodeMessage(c)
		if err != nil {
			failed = err
		}
		return text
	}
	commands := func(all []*Command) []json.RawMessage {
		texts := make([]json.RawMessage, len(all))
		for i, c := range all {
			texts[i] = command(c)
		}
		return texts
	}
	event := func(e *events.Event) json.RawMessage {
		if e == nil {
			return json.RawMessage("null")
		}
		text, err := eventjson.EncodeEvent(e)
		if err != nil {
			failed = err
		}
		return text
	}
	type mismatch struct {
		EventID     events.EventID    `json:"eventId"`
		TaskEventID events.EventID    `json:"taskEventId"`
		Reason      string            `json:"reason"`
		Recorded    json.RawMessage   `json:"recorded"`
		Issued      json.RawMessage   `json:"issued"`
		Fields      []FieldMismatch   `json:"fields"`
		AllRecorded []json.RawMessage `json:"allRecorded"`
		AllIssued   []json.RawMessage `json:"allIssued"`
		Around      []json.RawMessage `json:"around"`
	}
	var part *mismatch
	if m := r.Mismatch; m != nil {
		part = &mismatch{
			m.EventID, m.TaskEventID, m.Reason, event(m.Recorded), command(m.Issued), notNil(m.Fields),
			commands(m.AllRecorded), commands(m.AllIssued),
			[]json.RawMessage{},
		}
		for _, e := range m.Around {
			part.Around = append(part.Around, event(e))
		}
	}
	text, err := json.Marshal(struct {
		File       string            `json:"file,omitempty"`
		Namespace  string            `json:"namespace"`
		WorkflowID string            `json:"workflowId"`
		RunID      events.RunID      `json:"runId"`
		Type       string            `json:"workflowType"`
		Events     int               `json:"events"`
		Tasks      int               `json:"tasks"`
		Commands   int               `json:"commands"`
		Agrees     bool              `json:"agrees"`
		Mismatch   *mismatch         `json:"mismatch"`
		Ahead      []json.RawMessage `json:"ahead"`
	}{r.File, r.Workflow.Namespace, r.Workflow.ID, r.Run, r.Type, r.Events, r.Tasks, r.Commands, r.Agrees(), part, commands(r.Ahead)})
	if failed != nil {
		return nil, failed
	}
	return text, err
}
