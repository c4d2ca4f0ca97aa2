package wiring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/natscontext"

	"github.com/annals-io/annals/pkg/events/natslog"
)

// natsOptions are what every connection of ours has: it reconnects for ever,
// and a message never waits in the client for a server to come back, where
// nobody could tell whether it was sent.
func (c Config) natsOptions() []nats.Option {
	logger := c.logger()
	return []nats.Option{
		nats.Name(c.Name),
		nats.Timeout(5 * time.Second),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 500*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if err != nil {
				logger.Warn("connection to NATS lost, reconnecting", slog.Any("error", err))
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			logger.Info("connected to NATS again", slog.String("url", nc.ConnectedUrlRedacted()))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			logger.Warn("NATS", slog.Any("error", err))
		}),
	}
}

// NATS connects to the server; see the package's doc for which. The caller
// closes the connection. It fails with *ConnectError.
func (c Config) NATS() (*nats.Conn, error) {
	address, name := c.natsGiven()
	source := ""
	switch {
	case address != "" && address == c.NATSURL:
		source = "--nats-url"
	case address != "":
		source = "NATS_URL"
	case name == "":
		running, err := c.Running()
		if err != nil {
			return nil, err
		}
		if running != nil {
			address, source = running.NATSURL, fmt.Sprintf("annals dev, process %d", running.PID)
		}
	}
	if address != "" {
		nc, err := nats.Connect(address, c.natsOptions()...)
		if err != nil {
			e := &ConnectError{Server: "NATS", Where: redact(address), Source: source}
			e.Cause, e.Setting = malformed(err)
			return nil, e
		}
		return nc, nil
	}
	read := false // the context was, and its server is tried
	options := append(c.natsOptions(), func(*nats.Options) error {
		read = true
		return nil
	})
	nc, settings, err := natscontext.Connect(name, options...)
	if err != nil {
		e := &ConnectError{Server: "NATS", Where: "context " + name}
		e.Cause, e.Setting = malformed(err)
		e.Setting = e.Setting || !read
		if name == "" {
			e.Where = "the selected context of nats, or " + nats.DefaultURL
			e.Source = "nothing else: NATS_URL is not set, and no annals dev runs for this folder"
		}
		return nil, e
	}
	if settings.JSDomain != "" || settings.JSAPIPrefix != "" {
		nc.Close()
		return nil, &ConnectError{
			Server: "NATS", Where: "context " + settings.Name, Setting: true,
			Cause: errors.New("it sets a JetStream domain or API prefix, and a log is reached without one: connect to the account that owns its streams"),
		}
	}
	return nc, nil
}

// malformed reports whether a connection failed because of its URL, and gives the
// cause, without the URL, which may hold a password.
func malformed(err error) (cause error, is bool) {
	if bad := (*url.Error)(nil); errors.As(err, &bad) {
		return fmt.Errorf("malformed URL: %w", bad.Err), true
	}
	return err, errors.Is(err, nats.ErrMixingWebsocketSchemes)
}

// Log is a log with the connection that it is reached by.
type Log struct {
	*natslog.Log
	nc *nats.Conn
	js jetstream.JetStream
}

// OpenLog connects to NATS and opens the log there. It fails with
// *ConnectError, or as natslog.Open does. The caller closes it.
func (c Config) OpenLog(ctx context.Context, o natslog.Config) (*Log, error) {
	nc, err := c.NATS()
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("JetStream: %w", err)
	}
	if o.Logger == nil {
		o.Logger = c.logger()
	}
	l, err := natslog.Open(ctx, js, o)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return &Log{Log: l, nc: nc, js: js}, nil
}

// Conn is the connection.
func (l *Log) Conn() *nats.Conn { return l.nc }

// JetStream is for what the contract of a log does not say: settings, sizes.
func (l *Log) JetStream() jetstream.JetStream { return l.js }

// Close ends the connection.
func (l *Log) Close() { l.nc.Close() }
