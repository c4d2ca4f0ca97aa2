package dev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/embednats"
	"github.com/annals-io/annals/internal/embedpg"
	"github.com/annals-io/annals/internal/exporters"
	"github.com/annals-io/annals/internal/ingest"
	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/internal/wiring/discovery"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/telemetry"
)

// durability is that of the server that it starts.
var durability = wiring.Durability{Always: true, Source: "annals dev"}

// Pipeline is what runs. Its methods are safe for concurrent use.
type Pipeline struct {
	o        Options
	nats     *embednats.Server
	postgres *embedpg.Server
	http     net.Listener
	measures *exporters.Exporters
	log      *natslog.Log
	pool     *pgxpool.Pool
	ended    chan error  // the first part that ended by itself
	stopping atomic.Bool // from here on the servers' complaints are about us
	stops    []func() error
	stop     sync.Once
	stopErr  error
}

// Start starts everything and returns when it is ready; until Stop it runs,
// whatever becomes of the context. If something cannot be started, what was is
// stopped, and the error is *InUseError or that of the part; if the context
// ended before, it wraps that cause.
func Start(ctx context.Context, o Options) (*Pipeline, error) {
	o, err := o.validate()
	if err != nil {
		return nil, err
	}
	d := &Pipeline{o: o, ended: make(chan error, 1)}
	if err := d.start(ctx); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("interrupted while starting: %w", context.Cause(ctx))
		}
		return nil, errors.Join(err, d.Stop())
	}
	return d, nil
}

// NATSURL is where clients reach NATS.
func (d *Pipeline) NATSURL() string { return d.nats.ClientURL() }

// DatabaseURL is where clients reach the tables.
func (d *Pipeline) DatabaseURL() string { return d.postgres.ConnString(database) }

// AnnalsURL is where clients reach ingest.
func (d *Pipeline) AnnalsURL() string { return wiring.URL(d.http) }

// Log is the log, open until Stop.
func (d *Pipeline) Log() *natslog.Log { return d.log }

// Pool is connected to the tables, until Stop.
func (d *Pipeline) Pool() *pgxpool.Pool { return d.pool }

// Ended gives one *EndedError if a part ends that should go on; it is never
// closed. Stop is still to be called.
func (d *Pipeline) Ended() <-chan error { return d.ended }

// Exports are lines that export the URLs to a shell.
func (d *Pipeline) Exports() string {
	return fmt.Sprintf("export NATS_URL='%s'\nexport DATABASE_URL='%s'\nexport ANNALS_URL='%s'\n", d.NATSURL(), d.DatabaseURL(), d.AnnalsURL())
}

// onStop has f called by Stop, the last first.
func (d *Pipeline) onStop(f func() error) { d.stops = append(d.stops, f) }

// Stop ends everything and returns when it is gone; called again it gives the
// same answer.
func (d *Pipeline) Stop() error {
	d.stop.Do(func() {
		d.stopping.Store(true)
		var errs []error
		for i := len(d.stops) - 1; i >= 0; i-- {
			errs = append(errs, d.stops[i]())
		}
		d.stopErr = errors.Join(errs...)
	})
	return d.stopErr
}

// fail reports a part that has ended by itself; the first one counts.
func (d *Pipeline) fail(part string, cause error) {
	select {
	case d.ended <- &EndedError{Part: part, Cause: cause}:
	default:
	}
}

func (d *Pipeline) start(ctx context.Context) error {
	began := time.Now()
	if err := d.listen(ctx); err != nil {
		return err
	}
	if err := d.measure(ctx); err != nil {
		return err
	}
	if err := d.startServers(ctx); err != nil {
		return d.inUse(err)
	}
	nc, err := d.nats.Connect()
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	if _, err := natslog.Create(ctx, js, natslog.CreateOptions{}); err != nil {
		return err
	}
	d.log, err = natslog.Open(ctx, js, natslog.Config{Logger: slog.New(calm{d.o.Logger.Handler()})})
	if err != nil {
		return err
	}
	if err := d.postgres.CreateDatabase(ctx, database); err != nil {
		return err
	}
	if d.pool, err = (wiring.Config{Name: "annals-dev", DatabaseURL: d.postgres.SocketConnString(database)}).Postgres(ctx); err != nil {
		return err
	}
	d.onStop(func() error { d.pool.Close(); return nil })
	if err := wiring.Migrate(ctx, d.pool, d.o.Events); err != nil && !wiring.IsOlder(err) {
		return err
	}
	if err := d.buryFormer(ctx); err != nil {
		return err
	}
	// Nobody else is there who could rebuild them, or needs the old ones.
	if err := wiring.Remake(ctx, d.log, d.pool, d.o.Events, d.o.Logger); err != nil {
		return err
	}
	d.project()
	if err := d.serve(); err != nil {
		return err
	}
	go func() {
		<-d.postgres.Done()
		if err := d.postgres.Err(); err != nil {
			d.fail("Postgres", err)
		}
	}()
	if !d.o.Private {
		if err := d.announce(nc.ConnectedServerId()); err != nil {
			return err
		}
	}
	d.o.Logger.Info("annals dev is ready", append(wiring.Standing{Log: d.log.Identity(), Replicas: 1, Durability: durability}.Attrs(),
		slog.String("nats", d.NATSURL()), slog.String("database", d.DatabaseURL()), slog.String("api", d.AnnalsURL()),
		slog.String("data", d.where()), slog.Duration("took", time.Since(began).Round(time.Millisecond)))...)
	return nil
}

func (d *Pipeline) where() string {
	if d.o.Ephemeral {
		return "ephemeral"
	}
	return d.o.DataDir
}

// startServers starts both at the same time.
func (d *Pipeline) startServers(ctx context.Context) error {
	logger := slog.New(quiet{d.o.Logger.Handler(), &d.stopping})
	n := embednats.Options{Port: natsPort, PortMayMove: true, SyncAlways: true, Logger: logger}
	p := embedpg.Options{Port: postgresPort, PortMayMove: true, Ephemeral: d.o.Ephemeral, Logger: logger}
	if d.o.Private {
		n.Port, n.PortMayMove, p.Port, p.PortMayMove = 0, false, embedpg.AnyPort, false
	}
	if !d.o.Ephemeral {
		if err := makeDataDir(d.o.DataDir); err != nil {
			return err
		}
		n.StoreDir, p.DataDir = filepath.Join(d.o.DataDir, "nats"), filepath.Join(d.o.DataDir, "postgres")
	}
	var g errgroup.Group
	g.Go(func() (err error) {
		d.nats, err = embednats.Start(ctx, n)
		return err
	})
	g.Go(func() (err error) {
		d.postgres, err = embedpg.Start(ctx, p)
		return err
	})
	err := g.Wait()
	d.onStop(func() error {
		var g errgroup.Group
		if d.nats != nil {
			g.Go(d.nats.Stop)
		}
		if d.postgres != nil {
			g.Go(d.postgres.Stop)
		}
		return g.Wait()
	})
	return err
}

// inUse says who has the data folder.
func (d *Pipeline) inUse(err error) error {
	if !errors.Is(err, embednats.ErrInUse) && !errors.Is(err, embedpg.ErrInUse) {
		return err
	}
	e := &InUseError{DataDir: d.o.DataDir, Cause: err}
	for _, r := range discovery.Running() {
		if r.DataDir == d.o.DataDir {
			e.Running = &r
			break
		}
	}
	return e
}

// project runs the projector until stop.
func (d *Pipeline) project() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := wiring.Project(ctx, d.log, d.pool, wiring.ProjectOptions{Telemetry: d.measures, Logger: d.o.Logger}); err != nil {
			d.fail("the projector", err)
		}
	}()
	d.onStop(func() error {
		cancel()
		<-done
		return nil
	})
}

// listen opens ingest's port.
func (d *Pipeline) listen(ctx context.Context) (err error) {
	address := d.o.HTTP
	switch {
	case address != "":
	case d.o.Private:
		address = "127.0.0.1:0"
	default:
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(httpPort))
	}
	var c net.ListenConfig
	d.http, err = c.Listen(ctx, "tcp", address)
	if err != nil && d.o.HTTP == "" {
		d.http, err = c.Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	d.onStop(func() error {
		_ = d.http.Close() // closed already if it was served
		return nil
	})
	return nil
}

// measure begins to measure what all parts do.
func (d *Pipeline) measure(ctx context.Context) (err error) {
	d.measures, err = exporters.Start(ctx, exporters.Config{Service: "annals-dev", Logger: d.o.Logger})
	if err != nil {
		return err
	}
	d.onStop(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := d.measures.Shutdown(ctx); err != nil {
			d.o.Logger.Warn("telemetry: not all was exported", slog.Any("error", err))
		}
		return nil
	})
	stop, err := telemetry.Durability(d.measures.Providers, func() (string, int) { return durability.Mode(), 1 })
	if err != nil {
		return err
	}
	d.onStop(stop)
	return nil
}

// serve runs ingest until stop.
func (d *Pipeline) serve() error {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		byNATS := func(context.Context) (*nats.Conn, error) { return d.nats.Connect() }
		o := wiring.ServeOptions{DrainTimeout: drainTimeout, NATS: byNATS, Telemetry: d.measures, LagIsMeasured: true, Logger: d.o.Logger}
		if err := wiring.Serve(ctx, d.http, d.log, d.pool, o); err != nil && !errors.Is(err, ingest.ErrCutOff) {
			d.fail("ingest", err)
		}
	}()
	d.onStop(func() error {
		cancel()
		<-done
		return nil
	})
	return nil
}

func (d *Pipeline) announce(server string) error {
	folder, err := os.Getwd()
	if err != nil {
		return err
	}
	withdraw, err := discovery.Announce(discovery.Record{
		PID: os.Getpid(), StartedAt: time.Now(), Folder: folder, DataDir: d.o.DataDir,
		NATSURL: d.NATSURL(), NATSServer: server, SyncAlways: d.nats.SyncAlways(), DatabaseURL: d.DatabaseURL(), AnnalsURL: d.AnnalsURL(),
	})
	if err != nil {
		return err
	}
	d.onStop(withdraw)
	return nil
}
