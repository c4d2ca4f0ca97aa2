package temporal

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/importer"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events/eventjson"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// annals is a log, and the tables that were made of it.
type annals struct {
	namespace string
	log       *natslog.Log
	tables    *pgstore.Store
}

var quiet = slog.New(slog.DiscardHandler)

// newLog is a log on a NATS server of its own.
func newLog(ctx context.Context, t *testing.T) *natslog.Log {
	t.Helper()
	return newLogOn(ctx, t, testenv.NATS(t))
}

// newLogOn is a log on a server that has none.
func newLogOn(ctx context.Context, t testing.TB, nc *nats.Conn) *natslog.Log {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natslog.Create(ctx, js, natslog.CreateOptions{Streams: 4}); err != nil {
		t.Fatal(err)
	}
	log, err := natslog.Open(ctx, js, natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// newAnnals imports the histories, each from a file as Temporal's tools write it,
// and projects them.
func newAnnals(t *testing.T, namespace string, all map[string][]*recorded) annals {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	log := newLog(ctx, t)
	registrar := newRegistrar(ctx, t, log, namespace)
	folder := t.TempDir()
	for _, runs := range all {
		for _, r := range runs {
			text, err := eventjson.Encode(r.events)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, r.listed.Execution.RunId+".json"), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := importer.Run(ctx, log, []string{folder}, importer.Config{Namespace: namespace, Strict: true, Report: func(r importer.Result) {
		if r.Outcome != importer.Imported {
			t.Errorf("%s %s: %s: %s", r.Workflow, r.Run, r.Outcome, r.Reason)
		}
	}}); err != nil {
		t.Fatal(err)
	}
	a := annals{namespace: namespace, log: log, tables: newTables(ctx, t)}
	a.project(t, registrar)
	return a
}

// newRegistrar has the attributes of both registered.
func newRegistrar(ctx context.Context, t *testing.T, log *natslog.Log, namespace string) *searchattribute.Registrar {
	t.Helper()
	registrar := searchattribute.NewRegistrar(log, "judge", quiet)
	for name, kind := range attributeTypes {
		if _, _, err := registrar.Register(ctx, namespace, name, typeNamed(kind)); err != nil {
			t.Fatalf("%s as %s: %v", name, kind, err)
		}
	}
	return registrar
}

// newTables are the tables of a database of their own, without a row.
func newTables(ctx context.Context, t *testing.T) *pgstore.Store {
	t.Helper()
	pool, err := pgxpool.New(ctx, testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := pgstore.Migrate(ctx, pool); err != nil {
		t.Fatal(err)
	}
	tables, err := pgstore.New(pool, pgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

// project projects until the end of the test.
func (a annals) project(t *testing.T, registrar *searchattribute.Registrar) {
	t.Helper()
	projector, err := projection.New(a.log, a.tables, projection.Config{Logger: quiet, Attributes: registrar})
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := projection.NewControlKeeper(a.log, a.tables.Registry(), projection.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- projector.Run(ctx) }()
	go func() { ended <- keeper.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	r, err := a.tables.Verify(t.Context(), a.log, pgstore.VerifyOptions{Wait: patience})
	if err != nil || len(r.Differences) > 0 {
		t.Fatalf("the tables are not as the log says: %v, %v", fmt.Sprint(r.Differences), err)
	}
}
