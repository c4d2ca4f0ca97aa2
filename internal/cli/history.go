package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/spf13/cobra"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
	"github.com/annals-io/annals/pkg/execution"
)

func historyCommand(a *app) *cobra.Command {
	var read events.ReadOptions
	c := &cobra.Command{
		Use:   "history WORKFLOW",
		Short: "Print a history from the log",
		Long: `Prints the events of one run, as the log has them: the newest run if none is named.

-o temporal prints one {"events": […]} as the temporal CLI does, which replayers read; -o proto the same as the
protobuf message temporal.api.history.v1.History; -o jsonl one event a line; -o json {namespace, workflowId, runId,
events}. Those but the last are printed as they are read, however long they are. A history is printed whole or the
command fails with exit code 3: what was printed by then is not all, which only the exit code says of jsonl and proto.`,
		Example: `  annals history order-1
  annals history order-1 --reverse --limit 5          # the last five events, newest first
  annals history order-1 --from 10 -o jsonl           # from event 10 on
  annals history order-1 -o temporal > order-1.json   # for a replayer`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := c.Flags()
	f.StringVar((*string)(&read.Run), "run", "", "run `ID` (default: the newest)")
	f.Int64Var((*int64)(&read.From), "from", 0, "first event printed, in either direction `N` (default: the first, or with --reverse the last)")
	f.IntVar(&read.Limit, "limit", 0, "print at most `N` events (default: all)")
	f.BoolVar(&read.Reverse, "reverse", false, "newest first")
	o := outputFlag(c, formatTable, formatJSON, formatJSONL, formatTemporal, formatProto)
	c.RunE = func(c *cobra.Command, args []string) error {
		if o.is(formatProto) && isTerminal(a.out) {
			return usagef("-o proto is not for a terminal: send it to a file")
		}
		log, err := a.open(c.Context())
		if err != nil {
			return err
		}
		w := a.workflow(args[0])
		switch o.format {
		case formatJSONL:
			return printEvents(a.out, log.Read(c.Context(), w, read))
		case formatTemporal:
			return printHistory(a.out, log.Read(c.Context(), w, read))
		case formatProto:
			return printProto(a.out, log.Read(c.Context(), w, read))
		}
		if read.Run == "" && o.is(formatJSON) {
			// So that what is printed is one run, even if another begins meanwhile.
			tail, err := log.Tail(c.Context(), w)
			if err != nil {
				return err
			}
			read.Run = tail.Run()
		}
		var evs []*events.Event
		for e, err := range log.Read(c.Context(), w, read) {
			if err != nil {
				return err
			}
			evs = append(evs, e)
		}
		if o.is(formatJSON) {
			return printRun(a.out, w, read.Run, evs)
		}
		t := newTable(a.out, "id", "time", "type", "name")
		for _, e := range evs {
			t.row(e.EventId, eventTime(e), e.GetEventType(), execution.EventName(e))
		}
		return t.flush()
	}
	return c
}

// printEvents prints each event as a line of Temporal's JSON, as it is read.
func printEvents(to io.Writer, evs iter.Seq2[*events.Event, error]) (err error) {
	w := bufio.NewWriter(to)
	defer func() { err = errors.Join(err, w.Flush()) }()
	for e, err := range evs {
		if err != nil {
			return err
		}
		line, err := eventjson.EncodeEvent(e)
		if err != nil {
			return err
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// eventTime is zero if the event has no time.
func eventTime(e *events.Event) time.Time {
	if e.GetEventTime() == nil {
		return time.Time{}
	}
	return e.GetEventTime().AsTime()
}

// printHistory prints events as Temporal's tools do.
func printHistory(to io.Writer, evs iter.Seq2[*events.Event, error]) error {
	if err := eventjson.EncodeTo(to, evs); err != nil {
		return err
	}
	_, err := io.WriteString(to, "\n")
	return err
}

// printProto prints events as a History in protobuf, record by record.
func printProto(to io.Writer, evs iter.Seq2[*events.Event, error]) (err error) {
	w := bufio.NewWriter(to)
	defer func() { err = errors.Join(err, w.Flush()) }()
	for e, err := range evs {
		if err != nil {
			return err
		}
		one, err := proto.MarshalOptions{Deterministic: true}.Marshal(&historypb.History{Events: []*events.Event{e}})
		if err != nil {
			return fmt.Errorf("event %d: %w", e.GetEventId(), err)
		}
		if _, err := w.Write(one); err != nil {
			return err
		}
	}
	return nil
}

func printRun(to io.Writer, w events.Workflow, run events.RunID, evs []*events.Event) error {
	lines := make([]json.RawMessage, len(evs))
	for i, e := range evs {
		line, err := eventjson.EncodeEvent(e)
		if err != nil {
			return fmt.Errorf("event %d: %w", e.EventId, err)
		}
		lines[i] = line
	}
	return printJSON(to, struct {
		Namespace  string            `json:"namespace"`
		WorkflowID string            `json:"workflowId"`
		RunID      events.RunID      `json:"runId"`
		Events     []json.RawMessage `json:"events"`
	}{w.Namespace, w.ID, run, lines})
}
