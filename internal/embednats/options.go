package embednats

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
)

// MaxPayload is the largest message, in bytes, that every server of this project takes: a commit's
// limit of 2 MiB, its headers, and room.
const MaxPayload = 4 << 20

// Options describe a server. The zero value is a server on a free port of 127.0.0.1 with JetStream in a
// temporary folder, that acknowledges before it syncs.
type Options struct {
	// Name is the server's; it shows in logs and to clients. Empty: "annals".
	Name string

	// StoreDir keeps the streams, and is made if it is missing. Empty: a temporary folder, in memory if
	// there is room, removed when the server stops.
	StoreDir string

	// Host is the address to listen on. Empty: 127.0.0.1.
	Host string

	// Port is the TCP port. Zero: a free one.
	Port int

	// PortMayMove takes another free port when Port is taken; without it that is an error.
	PortMayMove bool

	// DontListen opens no port: only [Server.Connect] reaches the server.
	DontListen bool

	// SyncAlways syncs every message to disk before it is acknowledged.
	SyncAlways bool

	// Accounts takes the user name of each connection as its account.
	Accounts bool

	// Route, for a [Cluster], gives the address by which its server from, counted from 0, reaches its server
	// to, which listens for the others at addr; it is called again where the servers move to other ports. Nil:
	// that address.
	Route func(from, to int, addr string) string

	// Logger gets the server's warnings and errors, and its notices for debugging. Nil: nothing is logged.
	Logger *slog.Logger
}

func (o Options) validate() (Options, error) {
	switch {
	case o.Port < 0 || o.Port > 65535:
		return o, fmt.Errorf("embednats: port %d: want 0 (any) to 65535", o.Port)
	case o.PortMayMove && o.Port == 0:
		return o, errors.New("embednats: PortMayMove without a Port")
	case o.DontListen && (o.Port != 0 || o.Host != ""):
		return o, errors.New("embednats: DontListen with a Host or a Port")
	}
	if o.Name == "" {
		o.Name = "annals"
	}
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.StoreDir != "" {
		dir, err := filepath.Abs(o.StoreDir)
		if err != nil {
			return o, fmt.Errorf("embednats: store folder: %w", err)
		}
		o.StoreDir = dir
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}
