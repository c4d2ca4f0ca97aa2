package replay

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
)

// Place is a moment in a run.
type Place struct {
	Workflow events.Workflow
	Run      events.RunID // empty: the newest
	At       Point
}

// StateDiff is how the state at one place differs from that at another. Its
// String is for people; its JSON has all.
type StateDiff struct {
	From, To *execution.State
	// OneRun says that both are of one run. Only then are there Events and
	// Things.
	OneRun bool
	// Events is how many events lie between the two, negative where To comes
	// first.
	Events int
	// Fields are the fields by which the JSON of the states differs, in its
	// order; see execution.Diff.
	Fields []execution.FieldChange
	// Things are what the events between opened, changed or closed, those that
	// were opened and closed in between included, of which neither state says
	// anything; by the event that opened them.
	Things []Thing
}

// Thing is an activity, a timer or whatever else of a run has a life of its own.
type Thing struct {
	Kind    string         `json:"kind"`    // activity, timer, child, nexusOperation, update, externalSignal, externalCancel or signal
	EventID events.EventID `json:"eventId"` // that opened it
	ID      string         `json:"id"`      // activity, timer, workflow or update id; empty: it has none
	Name    string         `json:"name"`    // type or name; empty: it has none
	Before  string         `json:"before"`  // its status at From; empty: it was not there yet
	After   string         `json:"after"`   // its status at To; empty: it is not there yet
}

// Diff compares the states at two places, of one run or of two. To may come
// before From. It fails as State does.
func Diff(ctx context.Context, log events.Reader, from, to Place) (*StateDiff, error) {
	if from.Run == "" && to.Run == "" && from.Workflow == to.Workflow {
		tail, err := log.Tail(ctx, from.Workflow)
		if err != nil {
			return nil, err
		}
		from.Run, to.Run = tail.Run(), tail.Run() // one, even if another begins meanwhile
	}
	d := &StateDiff{}
	var err error
	if d.From, err = State(ctx, log, from.Workflow, from.Run, from.At); err != nil {
		return nil, err
	}
	if d.To, err = State(ctx, log, to.Workflow, to.Run, to.At); err != nil {
		return nil, err
	}
	if d.Fields, err = execution.Diff(d.From, d.To); err != nil {
		return nil, err
	}
	if d.OneRun = d.From.Workflow == d.To.Workflow && d.From.RunID == d.To.RunID; d.OneRun {
		err = d.between(ctx, log)
	}
	return d, err
}

// between reads the events from the earlier of the two states to the later one.
func (d *StateDiff) between(ctx context.Context, log events.Reader) error {
	d.Events = int(d.To.LastEventID - d.From.LastEventID)
	if d.Events == 0 {
		return nil
	}
	earlier, n := d.From, d.Events
	if n < 0 {
		earlier, n = d.To, -n
	}
	s, changes := earlier.Clone(), &execution.Changes{}
	for e, err := range log.Read(ctx, s.Workflow, events.ReadOptions{Run: s.RunID, From: s.LastEventID + 1, Limit: n}) {
		if err != nil {
			return err
		}
		s.ApplyTo(e, changes)
	}
	d.Things = things(earlier, changes)
	if d.Events < 0 {
		for i := range d.Things {
			t := &d.Things[i]
			t.Before, t.After = t.After, t.Before
		}
	}
	return nil
}

// things are what changed since an earlier state.
func things(earlier *execution.State, ch *execution.Changes) []Thing {
	var all []Thing
	add := func(list []Thing, pending []Thing) {
		before := make(map[events.EventID]string, len(pending))
		for _, t := range pending {
			before[t.EventID] = t.After
		}
		for _, t := range list {
			t.Before = before[t.EventID]
			all = append(all, t)
		}
	}
	add(each(ch.Activities, ofActivity), each(earlier.Activities, ofActivity))
	add(each(ch.Timers, ofTimer), each(earlier.Timers, ofTimer))
	add(each(ch.Children, ofChild), each(earlier.Children, ofChild))
	add(each(ch.NexusOperations, ofNexusOperation), each(earlier.NexusOperations, ofNexusOperation))
	add(each(ch.Updates, ofUpdate), each(earlier.Updates, ofUpdate))
	add(each(ch.ExternalSignals, ofExternalSignal), each(earlier.ExternalSignals, ofExternalSignal))
	add(each(ch.ExternalCancels, ofExternalCancel), each(earlier.ExternalCancels, ofExternalCancel))
	add(each(ch.Signals, ofSignal), nil)
	slices.SortStableFunc(all, func(a, b Thing) int { return cmp.Compare(a.EventID, b.EventID) })
	return all
}

func each[T any](list []*T, of func(*T) Thing) []Thing {
	all := make([]Thing, len(list))
	for i, x := range list {
		all[i] = of(x)
	}
	return all
}

func ofActivity(a *execution.Activity) Thing {
	return Thing{Kind: "activity", EventID: a.ScheduledEventID, ID: a.ActivityID, Name: a.Type, After: a.Status.String()}
}

func ofTimer(t *execution.Timer) Thing {
	return Thing{Kind: "timer", EventID: t.StartedEventID, ID: t.TimerID, After: t.Status.String()}
}

func ofChild(c *execution.Child) Thing {
	return Thing{Kind: "child", EventID: c.InitiatedEventID, ID: c.WorkflowID, Name: c.Type, After: c.Status.String()}
}

func ofNexusOperation(o *execution.NexusOperation) Thing {
	return Thing{Kind: "nexusOperation", EventID: o.ScheduledEventID, ID: o.OperationToken, Name: o.Operation, After: o.Status.String()}
}

func ofUpdate(u *execution.Update) Thing {
	return Thing{Kind: "update", EventID: u.EventID, ID: u.ID, Name: u.Name, After: u.Status.String()}
}

func ofExternalSignal(x *execution.ExternalSignal) Thing {
	return Thing{Kind: "externalSignal", EventID: x.InitiatedEventID, ID: x.WorkflowID, Name: x.SignalName, After: x.Status.String()}
}

func ofExternalCancel(x *execution.ExternalCancel) Thing {
	return Thing{Kind: "externalCancel", EventID: x.InitiatedEventID, ID: x.WorkflowID, After: x.Status.String()}
}

func ofSignal(x *execution.Signal) Thing {
	return Thing{Kind: "signal", EventID: x.EventID, Name: x.Name, After: "Received"}
}

// MarshalJSON is the difference as `annals diff -o json` prints it: from and to
// ({namespace, workflowId, runId, eventId, time}), events, fields ({path, before,
// after}) and things.
func (d *StateDiff) MarshalJSON() ([]byte, error) {
	side := func(s *execution.State) any {
		return struct {
			Namespace  string         `json:"namespace"`
			WorkflowID string         `json:"workflowId"`
			RunID      events.RunID   `json:"runId"`
			EventID    events.EventID `json:"eventId"`
			Time       string         `json:"time"`
		}{s.Workflow.Namespace, s.Workflow.ID, s.RunID, s.LastEventID, instant(s)}
	}
	return json.Marshal(struct {
		From   any                     `json:"from"`
		To     any                     `json:"to"`
		OneRun bool                    `json:"oneRun"`
		Events int                     `json:"events"`
		Fields []execution.FieldChange `json:"fields"`
		Things []Thing                 `json:"things"`
	}{side(d.From), side(d.To), d.OneRun, d.Events, notNil(d.Fields), notNil(d.Things)})
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
