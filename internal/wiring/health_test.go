package wiring_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/exporters"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// A projector is ready when it takes part in sharing: one that has no partition,
// because another has all, is ready too. One that cannot look at the leases is not.
func TestAProjectorThatStandsByIsReady(t *testing.T) {
	url := testenv.Postgres(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := wiring.Migrate(t.Context(), pool, ""); err != nil {
		t.Fatal(err)
	}
	log, err := memlog.New(memlog.Config{Streams: 1})
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	answers := make([]func() (int, string), 2)
	for i := range answers {
		health := &wiring.Health{}
		measures, err := exporters.Start(t.Context(), exporters.Config{Service: "test", Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served, projected := make(chan error, 1), make(chan error, 1)
		go func() { served <- wiring.ServeMetrics(ctx, l, measures, health) }()
		answers[i] = func() (int, string) {
			r, err := http.Get(wiring.URL(l) + "/readyz")
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			return r.StatusCode, string(body)
		}
		if code, body := answers[i](); code != http.StatusServiceUnavailable || !strings.Contains(body, "not begun") {
			t.Errorf("before it has begun: %d %s", code, body)
		}
		go func() {
			projected <- wiring.Project(ctx, log, pool, wiring.ProjectOptions{Health: health, Logger: quiet})
		}()
		t.Cleanup(func() {
			cancel()
			for _, err := range []error{<-projected, <-served, measures.Shutdown(context.Background())} {
				if err != nil {
					t.Error(err)
				}
			}
			http.DefaultClient.CloseIdleConnections()
		})
	}
	eventually := func(what string, f func() bool) {
		t.Helper()
		for until := time.Now().Add(time.Minute); !f(); {
			if time.Now().After(until) {
				t.Fatal("it never came to be: " + what)
			}
		}
	}
	for i, answer := range answers {
		eventually("ready", func() bool { code, _ := answer(); return code == http.StatusOK })
		if _, body := answer(); body != `{"ready":true,"conditions":[{"name":"leases","ok":true}]}`+"\n" {
			t.Errorf("projector %d: %s", i, body)
		}
	}
	if _, err := pool.Exec(t.Context(), "ALTER TABLE annals.members RENAME TO hidden"); err != nil {
		t.Fatal(err)
	}
	for _, answer := range answers {
		eventually("not ready", func() bool {
			code, body := answer()
			return code == http.StatusServiceUnavailable && strings.Contains(body, "renew leases")
		})
	}
}
