package embednats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"
)

// StartConfigured runs a server as a configuration file of nats-server says, such as those of deploy/nats,
// so that a program of ours can stand for nats-server. The file MUST switch JetStream on and name its
// store_dir, which is locked. What the file says about logging is not used: logger gets warnings and
// errors; nil: nothing is logged.
func StartConfigured(ctx context.Context, file string, log *slog.Logger) (_ *Server, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("start NATS by %s: %w", file, err)
		}
	}()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	settings, err := server.ProcessConfigFile(file)
	if err != nil {
		return nil, err
	}
	if !settings.JetStream || settings.StoreDir == "" {
		return nil, errors.New("want JetStream with a store_dir")
	}
	settings.NoSigs, settings.DisableJetStreamBanner = true, true
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{opts: Options{SyncAlways: settings.SyncAlways, DontListen: settings.DontListen, Logger: log}}
	if s.store, err = openStore(settings.StoreDir); err != nil {
		return nil, err
	}
	if err := s.launch(settings); err != nil {
		return nil, errors.Join(err, s.store.close())
	}
	return s, nil
}
