package ingest

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// Config is what a server serves, and how. Zero fields mean the default.
type Config struct {
	// Log and Tables are required. Neither need be there yet: calls that need them
	// fail meanwhile. A log that is not says so by an Identity of no partitions.
	Log    events.Log
	Tables *pgstore.Store

	// CallTimeout ends a call whose client names no deadline; 30 s.
	CallTimeout time.Duration
	// WaitTimeout is how long a query waits for a position if it does not say; 10 s.
	WaitTimeout time.Duration
	// MaxRequestBytes bounds a request, uncompressed; 8 MiB. A commit of 2 MiB
	// takes less than half of it as JSON.
	MaxRequestBytes int
	// BodyTimeout is how long a client has to send a request once it has begun; 1
	// minute. What the call takes after that is another matter.
	BodyTimeout time.Duration
	// DrainDelay is how long a server goes on as before once it is to end, but
	// for /readyz: time for load balancers to notice; 0.
	DrainDelay time.Duration
	// DrainTimeout is how long calls under way have to end after that; 30 s.
	DrainTimeout time.Duration

	// Interceptors wrap every call, the first one outermost.
	Interceptors []connect.ServerInterceptor
	// Metrics serves /metrics. Nil: there is no such path.
	Metrics http.Handler
	// Logger gets what goes wrong in the server itself. Nil: slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Log == nil || c.Tables == nil {
		return c, errors.New("ingest: want a log and tables")
	}
	if c.CallTimeout < 0 || c.WaitTimeout < 0 || c.MaxRequestBytes < 0 || c.BodyTimeout < 0 || c.DrainDelay < 0 || c.DrainTimeout < 0 {
		return c, errors.New("ingest: a setting is negative")
	}
	orDefault(&c.CallTimeout, 30*time.Second)
	orDefault(&c.WaitTimeout, 10*time.Second)
	orDefault(&c.BodyTimeout, time.Minute)
	orDefault(&c.DrainTimeout, 30*time.Second)
	orDefault(&c.MaxRequestBytes, 8<<20)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}

func orDefault[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}
