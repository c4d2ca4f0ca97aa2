package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// app is what the commands of one program share.
type app struct {
	in       io.Reader
	out, err io.Writer

	namespace string
	servers   wiring.Config
	logLevel  string
	logFormat string

	running bool // a command's own code has begun: errors are no longer about usage
	closers []func()

	// open gives the log; tests give another.
	open func(context.Context) (events.Log, error)
}

// Streams are the standard streams of a program.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Annals runs the program annals and returns its exit code.
func Annals(ctx context.Context, args []string, s Streams) int {
	return newApp(s).main(ctx, annals, args)
}

// Projector runs the program projector and returns its exit code.
func Projector(ctx context.Context, args []string, s Streams) int {
	return newApp(s).main(ctx, projector, args)
}

func newApp(s Streams) *app {
	a := &app{in: s.In, out: s.Out, err: s.Err}
	a.open = func(ctx context.Context) (events.Log, error) { return a.log(ctx) }
	return a
}

func (a *app) main(ctx context.Context, program func(*app) *cobra.Command, args []string) int {
	root := program(a)
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SilenceErrors, root.SilenceUsage = true, true
	a.servers.Name = root.Name()
	a.wrap(root)
	defer a.close()
	called, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	if !a.running {
		err = &usageError{err}
	}
	code := exitCode(err)
	var exit *exitError
	switch {
	case errors.As(err, &exit):
	case code == exitUsage:
		fmt.Fprintf(a.err, "Error: %v\nRun '%s --help' for usage.\n", err, called.CommandPath())
	default:
		fmt.Fprintf(a.err, "Error: %v\n", err)
	}
	return code
}

// wrap has every command begin with what all share. Until then an error is one
// of usage: an unknown command or flag, a missing argument.
func (a *app) wrap(c *cobra.Command) {
	if run := c.RunE; run != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			logger, err := a.logger()
			if err != nil {
				return err
			}
			slog.SetDefault(logger)
			a.servers.Logger = logger
			a.running = true
			return run(c, args)
		}
	}
	for _, sub := range c.Commands() {
		a.wrap(sub)
	}
}

// onClose has f called when the program ends, the last first.
func (a *app) onClose(f func()) { a.closers = append(a.closers, f) }

func (a *app) close() {
	for i := len(a.closers) - 1; i >= 0; i-- {
		a.closers[i]()
	}
	a.closers = nil
}

func (a *app) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	switch a.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(a.err, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(a.err, options)), nil
	default:
		return nil, fmt.Errorf("--log-format: %q is neither text nor json", a.logFormat)
	}
}

// log connects to the log. It is closed when the program ends.
func (a *app) log(ctx context.Context) (*wiring.Log, error) {
	l, err := a.servers.OpenLog(ctx, natslog.Config{})
	if err != nil {
		return nil, err
	}
	a.onClose(l.Close)
	return l, nil
}

// postgres is a pool that connects when it is used. It is closed when the
// program ends.
func (a *app) postgres(ctx context.Context) (*pgxpool.Pool, error) {
	pool, err := a.servers.Postgres(ctx)
	if err != nil {
		return nil, err
	}
	a.onClose(pool.Close)
	return pool, nil
}

// tables are the projection's. Nothing is connected before they are used.
func (a *app) tables(ctx context.Context) (*pgstore.Store, error) {
	pool, err := a.postgres(ctx)
	if err != nil {
		return nil, err
	}
	return pgstore.New(pool, pgstore.Config{})
}

// workflow is the one of this id in the namespace.
func (a *app) workflow(id string) events.Workflow {
	return events.Workflow{Namespace: a.namespace, ID: id}
}

// env is the variable's value, or the default.
func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// serverFlags adds the flags that say where the servers are.
func (a *app) serverFlags(f *pflag.FlagSet) {
	f.StringVar(&a.servers.NATSURL, "nats-url", "", "`URL` of NATS (default: $NATS_URL, a running annals dev, the nats context)")
	f.StringVar(&a.servers.NATSContext, "nats-context", "", "context of the nats CLI to connect by `NAME` ($NATS_CONTEXT)")
	f.StringVar(&a.servers.DatabaseURL, "database-url", "", "`URL` of Postgres (default: $DATABASE_URL, any PG* variable, a running annals dev)")
}

// monitorFlag adds the flag that says where NATS servers tell how durable they are.
func (a *app) monitorFlag(f *pflag.FlagSet) {
	var given []string
	if v := os.Getenv("NATS_MONITOR_URL"); v != "" {
		given = strings.Split(v, ",")
	}
	f.StringSliceVar(&a.servers.Monitors, "nats-monitor", given, "monitoring port of each NATS server, with commas between `URLS` ($NATS_MONITOR_URL)")
}

// logFlags adds the flags that say what is logged, and how.
func (a *app) logFlags(f *pflag.FlagSet, level, format string) {
	f.StringVar(&a.logLevel, "log-level", env("ANNALS_LOG_LEVEL", level), "what to log on standard error: debug, info, warn or error ($ANNALS_LOG_LEVEL)")
	f.StringVar(&a.logFormat, "log-format", env("ANNALS_LOG_FORMAT", format), "how to log it: text or json ($ANNALS_LOG_FORMAT)")
}

// group is a command that only holds others.
func group(c *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		err := fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
		}
		return err
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if c.HasParent() {
			return usagef("%s needs a command", c.CommandPath())
		}
		return c.Help()
	}
	c.SuggestionsMinimumDistance = 2
	c.AddCommand(commands...)
	return c
}
