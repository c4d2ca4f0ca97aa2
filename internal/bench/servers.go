package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/embednats"
	"github.com/annals-io/annals/internal/scratch"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// The ways in which a server syncs what it acknowledges.
const (
	FsyncDefault = "default" // every two minutes
	FsyncAlways  = "always"  // before it acknowledges
	FsyncServer  = "server"  // as the server does that was given
)

// setting is the servers that cases are measured on.
type setting struct {
	replicas int
	fsync    string
}

// servers are running ones, with a connection to them.
type servers struct {
	nc   *nats.Conn
	js   jetstream.JetStream
	stop func() error
}

// start runs servers of our own on a temporary folder on disk: in memory a sync
// would cost nothing.
func start(ctx context.Context, s setting, logger *slog.Logger) (_ *servers, err error) {
	folder, err := scratch.New("bench", scratch.Options{})
	if err != nil {
		return nil, err
	}
	stop := folder.Remove
	defer func() {
		if err != nil {
			err = errors.Join(err, stop())
		}
	}()
	options := embednats.Options{StoreDir: filepath.Join(folder.Path, "nats"), SyncAlways: s.fsync == FsyncAlways, Logger: logger}
	var connect func(...nats.Option) (*nats.Conn, error)
	if s.replicas == 1 {
		one, err := embednats.Start(ctx, options)
		if err != nil {
			return nil, err
		}
		stop = func() error { return errors.Join(one.Stop(), folder.Remove()) }
		connect = one.Connect
	} else {
		all, err := embednats.StartCluster(ctx, s.replicas, options)
		if err != nil {
			return nil, err
		}
		stop = func() error { return errors.Join(all.Stop(), folder.Remove()) }
		connect = all.Connect
	}
	nc, err := connect()
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	stopServers := stop
	return &servers{nc: nc, js: js, stop: func() error {
		nc.Close()
		return stopServers()
	}}, nil
}

// given uses a server that somebody else runs. There must be no log: it would be
// written to, and deleted in the end.
func given(ctx context.Context, connect func() (*nats.Conn, error)) (*servers, error) {
	nc, err := connect()
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err == nil {
		err = noLog(ctx, js)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &servers{nc: nc, js: js, stop: func() error {
		defer nc.Close()
		return deleteLog(context.WithoutCancel(ctx), js)
	}}, nil
}

// noLog fails with ErrLogThere if there is any stream of a log, also of one that is
// damaged or not restored yet: all of them would be deleted in the end.
func noLog(ctx context.Context, js jetstream.JetStream) (err error) {
	prefix := strings.TrimRight(natslog.StreamName(0), "0")
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		if strings.HasPrefix(name, prefix) && err == nil {
			err = fmt.Errorf("%w: stream %s", ErrLogThere, name)
		}
	}
	return errors.Join(err, names.Err())
}

// deleteLog deletes the streams that were made for the benchmark.
func deleteLog(ctx context.Context, js jetstream.JetStream) error {
	var errs []error
	for p := range streams {
		errs = append(errs, gone(js.DeleteStream(ctx, natslog.StreamName(p))))
	}
	for _, name := range []string{natslog.HeartbeatStream, natslog.ControlStream} {
		errs = append(errs, gone(js.DeleteStream(ctx, name)))
	}
	return errors.Join(errs...)
}

func gone(err error) error {
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	return err
}
