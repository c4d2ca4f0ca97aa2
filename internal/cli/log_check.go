package cli

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/events"
)

func logCheckCommand(a *app) *cobra.Command {
	x := &examination{app: a, now: time.Now}
	c := &cobra.Command{
		Use:   "check",
		Short: "Whether the log's streams are as its format asks for",
		Long: `Holds the log against its format, and changes nothing: that all its streams are there and say the same of which
log it is, its epoch and its format; that they own all slots and listen to what is theirs; that none of their settings
lets anything be lost or altered; that their replicas are there and current; and that no message is gone that they had.
It is what annals doctor says of the log. What the messages are annals verify looks at.

Exit code 1 if something is wrong, 3 where the log could not be asked.`,
		Example: `  annals log check
  annals log check -o json`,
		Args: cobra.NoArgs,
	}
	a.monitorFlag(c.Flags())
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := x.logAlone(c.Context()); err != nil {
			return err
		}
		return x.print(o)
	}
	return c
}

// logAlone looks at the log, and fails where it could not be asked.
func (x *examination) logAlone(ctx context.Context) error {
	nc, err := x.servers.NATS()
	if err != nil {
		return err
	}
	x.onClose(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	servers, _ := x.all(ctx, nc) // who does not tell is asked for nothing here
	x.payload(nc, servers)
	_, _, err = x.log(ctx, nc, js, servers)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, events.ErrWrongLog) {
		return nil // that is the answer
	}
	return err
}
