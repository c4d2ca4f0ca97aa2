package embedpg

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
)

// AnyPort asks for a free TCP port.
const AnyPort = -1

// Superuser is the server's only role at first; it may do everything.
const Superuser = "postgres"

// Options describe a server. The zero value is a durable server in a temporary folder that can be
// reached by its socket only.
type Options struct {
	// DataDir keeps the data, and is made and initialised when it is missing or empty. Its parents MUST be
	// enterable by the user that the server runs as. Empty: a temporary folder, removed when the server
	// stops, in memory if the server is Ephemeral and there is room.
	DataDir string

	// Port is the TCP port on 127.0.0.1, beside the socket. Zero: none. AnyPort: one that is free.
	Port int

	// PortMayMove takes another free port when Port is taken; without it that is an error.
	PortMayMove bool

	// Ephemeral trades durability for speed: no fsync, no waiting for the log, no replication. After a
	// crash of the machine the data is lost. For tests, and for data that nobody will miss.
	Ephemeral bool

	// MaxConnections limits the sessions. Zero: PostgreSQL's default, 100.
	MaxConnections int

	// Logger gets what the server logs, warnings as warnings and the rest for debugging, and what the
	// launcher does that takes long. Nil: nothing is logged.
	Logger *slog.Logger
}

func (o Options) validate() (Options, error) {
	switch {
	case o.Port < AnyPort || o.Port > 65535:
		return o, fmt.Errorf("embedpg: port %d: want 0 (none), -1 (any) or 1 to 65535", o.Port)
	case o.MaxConnections < 0:
		return o, fmt.Errorf("embedpg: max connections %d: want 0 (default) or more", o.MaxConnections)
	case o.PortMayMove && o.Port <= 0:
		return o, errors.New("embedpg: PortMayMove without a Port")
	}
	if o.DataDir != "" {
		dir, err := filepath.Abs(o.DataDir)
		if err != nil {
			return o, fmt.Errorf("embedpg: data folder: %w", err)
		}
		o.DataDir = dir
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}
