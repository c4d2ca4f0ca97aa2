package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/events"
)

func logVoidCommand(a *app) *cobra.Command {
	var r events.VoidRequest
	var commitID string
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "void WORKFLOW",
		Short: "Declare messages void that were written past the library",
		Long: `A message on a workflow's subject that is no commit makes the workflow corrupt: it takes no appends and gives
no history, and the projector quarantines it. This command appends a commit that declares void what lies behind
the workflow's last valid commit; everything then goes on from that one. Nothing is deleted. It asks nothing, and
prints what it has declared void. Where the tables have the workflow quarantined, annals projection heal ends that.

It refuses, with exit code 1, where nothing is wrong, and where something was appended behind such a message: a
void takes nothing back. An unknown outcome (exit code 3) prints a commit id: the same command with --commit-id
settles it.`,
		Example:           `  annals log void order-7 --reason "a script published to annals.>"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.Flags().StringVar(&r.Reason, "reason", "", fmt.Sprintf("why, for whoever reads the log: `TEXT` of at most %d bytes", events.MaxVoidReasonBytes))
	c.Flags().StringVar(&commitID, "commit-id", "", "`ID` by which a repeated void is recognised (default: a new one)")
	c.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to try")
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkTimeout(timeout); err != nil {
			return err
		}
		r.Workflow, r.CommitID = a.workflow(args[0]), events.CommitID(commitID)
		ctx, cancel := context.WithTimeout(c.Context(), timeout)
		defer cancel()
		log, err := a.open(ctx)
		if err != nil {
			return err
		}
		result, err := log.Void(ctx, r)
		var unknown *events.OutcomeUnknownError
		if errors.As(err, &unknown) {
			return fmt.Errorf("%w; settle it with --commit-id %s", err, unknown.CommitID)
		}
		if err != nil {
			return err
		}
		return a.printVoid(o, result)
	}
	return c
}

// voidedJSON is `log void -o json`.
type voidedJSON struct {
	Position string          `json:"position"` // of the void
	CommitID events.CommitID `json:"commitId"`
	Existed  bool            `json:"existed"`
	// RunID, LastEventID and Status are where the workflow goes on; empty if it
	// has had no run yet.
	RunID       events.RunID    `json:"runId"`
	LastEventID events.EventID  `json:"lastEventId"`
	Status      string          `json:"status"`
	Messages    uint64          `json:"messages"` // that are void
	Voided      []voidedMessage `json:"voided"`   // the first of them
}

type voidedMessage struct {
	Position string    `json:"position"`
	Time     time.Time `json:"time"`
	Reason   string    `json:"reason"`
}

func (a *app) printVoid(o *output, r events.VoidResult) error {
	v := voidedJSON{
		Position: r.Position.String(), CommitID: r.CommitID, Existed: r.Existed, RunID: r.Cursor.Run(), LastEventID: r.Cursor.LastEventID(),
		Messages: r.Messages, Voided: []voidedMessage{},
	}
	if v.RunID != "" {
		v.Status = r.Cursor.Status().String()
	}
	for _, m := range r.Voided {
		v.Voided = append(v.Voided, voidedMessage{m.Position.String(), m.Time.UTC(), m.Reason})
	}
	if o.is(formatJSON) {
		return printJSON(a.out, v)
	}
	t := newTable(a.out)
	t.row("void", v.Position)
	t.row("commit", v.CommitID)
	t.row("messages", v.Messages)
	if v.RunID == "" {
		t.row("goes on", "with its first run")
	} else {
		t.row("goes on", fmt.Sprintf("after event %d of run %s, %s", v.LastEventID, v.RunID, v.Status))
	}
	if v.Existed {
		t.row("existed", "yes: an earlier attempt had stored it")
	}
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	m := newTable(a.out, "voided", "stored at", "why it is no commit")
	for _, x := range v.Voided {
		m.row(x.Position, x.Time, x.Reason)
	}
	if err := m.flush(); err != nil {
		return err
	}
	if more := v.Messages - uint64(len(v.Voided)); more > 0 {
		fmt.Fprintf(a.out, "and %s more\n", plural(int64(more), "message"))
	}
	fmt.Fprintln(a.out, "\nWhere the tables have the workflow quarantined: annals projection heal.")
	return nil
}
