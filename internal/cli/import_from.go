package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"github.com/annals-io/annals/internal/importer"
	"github.com/annals-io/annals/internal/temporal"
)

// fromFlags are what the command line says of the Temporal server to import from.
type fromFlags struct {
	address, namespace, query string
	follow                    bool
	longPolls                 int
	apiKey                    string
	secure                    bool
	secureSaid                bool // --tls was given
	tls                       temporal.TLS
}

// ofServers are the flags that mean something with --from only, and ofFiles those
// that do not with it.
var (
	ofServers = []string{"from-namespace", "query", "follow", "long-polls", "api-key", "tls", "tls-ca", "tls-cert", "tls-key", "tls-server-name"}
	ofFiles   = []string{"ids", "strict"}
)

func (f *fromFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.address, "from", "", "import from the Temporal server at `HOST:PORT`")
	flags.StringVar(&f.namespace, "from-namespace", "", "Temporal's namespace of that `NAME` (default: that of --namespace)")
	flags.StringVar(&f.query, "query", "", "which runs, in Temporal's list `FILTER` (default: all)")
	flags.BoolVar(&f.follow, "follow", false, "keep up with the server until interrupted")
	flags.IntVar(&f.longPolls, "long-polls", 100, "how many open runs --follow asks about at the same moment; more take turns")
	flags.StringVar(&f.apiKey, "api-key", "", "API `KEY` for the server; better in $TEMPORAL_API_KEY, which nobody sees")
	flags.BoolVar(&f.secure, "tls", false, "connect by TLS (any other --tls flag, and an API key, mean it too)")
	flags.StringVar(&f.tls.CA, "tls-ca", "", "`FILE` of certificates to trust (default: the system's)")
	flags.StringVar(&f.tls.Cert, "tls-cert", "", "`FILE` of the certificate to show to the server")
	flags.StringVar(&f.tls.Key, "tls-key", "", "`FILE` of its key")
	flags.StringVar(&f.tls.ServerName, "tls-server-name", "", "`NAME` that the server's certificate must have (default: that of --from)")
}

// check refuses flags that do not go together.
func (f *fromFlags) check(flags *pflag.FlagSet) error {
	wrong, why := ofServers, "needs --from"
	if f.address != "" {
		wrong, why = ofFiles, "is about files, not about --from"
	}
	for _, name := range wrong {
		if flags.Changed(name) {
			return usagef("--%s %s", name, why)
		}
	}
	f.secureSaid = flags.Changed("tls")
	switch {
	case f.longPolls < 1:
		return usagef("--long-polls is %d, want 1 or more", f.longPolls)
	case f.secureSaid && !f.secure && f.tls != (temporal.TLS{}):
		return usagef("--tls=false and the other --tls flags exclude each other")
	}
	return nil
}

// server prepares the connection.
func (f *fromFlags) server(namespace string, patience time.Duration) (*temporal.Server, error) {
	c := temporal.Config{
		Address: f.address, Namespace: cmp.Or(f.namespace, namespace), APIKey: temporal.Key(cmp.Or(f.apiKey, env("TEMPORAL_API_KEY", ""))),
		Patience: patience, Logger: slog.Default(),
	}
	if f.secure || !f.secureSaid && (f.tls != (temporal.TLS{}) || c.APIKey != "") {
		c.TLS = &f.tls
	}
	return temporal.Dial(c)
}

// importFrom imports from a Temporal server.
func (a *app) importFrom(ctx context.Context, c importer.Config, f fromFlags, o *output) error {
	if f.follow && o.is(formatJSON) {
		return usagef("--follow has no end, and -o json is one document: take -o jsonl")
	}
	patience := c.Timeout
	if f.follow {
		patience = 0
	}
	server, err := f.server(a.namespace, patience)
	if err != nil {
		return f.explain(err)
	}
	defer server.Close()
	log, err := a.open(ctx)
	if err != nil {
		return err
	}
	p := a.startProgress("import")
	c.Found = func(runs int) { p.expect(runs) }
	c.Looked = func() { p.add(1, 0) }
	c.Appended = func(events int) { p.add(0, events) }
	var results []importer.Result
	var printed error
	c.Report = func(r importer.Result) {
		switch {
		case o.is(formatJSONL):
			printed = cmp.Or(printed, printLine(a.out, r))
		case !f.follow:
			results = append(results, r)
		case r.Outcome == importer.Refused, r.Outcome == importer.Gone:
			slog.Warn("a run is "+string(r.Outcome), slog.String("workflow", r.Workflow), slog.String("run", r.Run), slog.String("reason", r.Reason))
		}
	}
	began := time.Now()
	var summary importer.Summary
	if f.follow {
		slog.Info("following the server until interrupted", slog.String("server", f.address))
		summary, err = importer.FollowServer(ctx, log, server, f.query, c, importer.FollowConfig{
			LongPolls: f.longPolls,
			Standing: func(open, waiting int) {
				p.remark(fmt.Sprintf("%s open, %d to be taken", plural(int64(open), "run"), waiting))
			},
		})
	} else {
		summary, err = importer.RunServer(ctx, log, server, f.query, c)
	}
	p.finish()
	if err != nil && summary == (importer.Summary{}) {
		return fmt.Errorf("import: %w", f.explain(err)) // nothing was done that there is something to say of
	}
	if err == nil {
		err = printed
	}
	if !o.is(formatJSONL) && !f.follow {
		err = cmp.Or(err, a.printImported(o, "run", results))
	}
	fmt.Fprintln(a.err, summarize(summary, "run", time.Since(began)))
	if err != nil {
		return fmt.Errorf("import: %w", f.explain(err))
	}
	return verdict(summary, "run")
}

// settings are the flags of what the connection is made with.
var settings = map[string]string{
	"Address": "--from", "APIKey": "--api-key and $TEMPORAL_API_KEY", "TLS": "--api-key and $TEMPORAL_API_KEY need --tls", "TLS.CA": "--tls-ca", "TLS.Cert": "--tls-cert and --tls-key",
}

// explain adds to what the server says which flag helps.
func (f *fromFlags) explain(err error) error {
	var e *temporal.Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case errors.Is(err, temporal.ErrConfig):
		return usagef("%s: %s", settings[e.Setting], e.Message)
	case errors.Is(err, temporal.ErrQuery):
		return usagef("--query: %s", e.Message)
	case e.Untrusted:
		return fmt.Errorf("%w: --tls-ca FILE says which certificates to trust, --tls-server-name NAME which name the server's has", err)
	case errors.Is(err, temporal.ErrAway):
		return fmt.Errorf("%w: is a Temporal server at %s (--from)? One with TLS needs --tls, one without it --tls=false", err, f.address)
	case errors.Is(err, temporal.ErrBusy):
		return fmt.Errorf("%w: import again later, with a smaller --concurrency, or let the server at %s allow more", err, f.address)
	case errors.Is(err, temporal.ErrNamespace):
		return fmt.Errorf("%w: name it by --from-namespace", err)
	case errors.Is(err, temporal.ErrDenied):
		return fmt.Errorf("%w: $TEMPORAL_API_KEY, or --tls-cert with --tls-key, says who asks, and must be allowed to read the namespace", err)
	}
	return err
}
