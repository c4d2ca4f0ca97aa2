package embednats

import "errors"

var (
	// ErrInUse occurs when another process, or another server of this one, owns the store folder. Stop
	// it, or name another folder.
	ErrInUse = errors.New("store folder is in use")

	// ErrPortTaken occurs when something else listens on the wanted port. Name another one, or let it move.
	ErrPortTaken = errors.New("port is taken")

	// ErrStopped occurs when a stopped server is asked for something. Start another.
	ErrStopped = errors.New("server is stopped")

	// ErrNoLeader occurs when a stream, or the cluster itself, has no leader when the time is up. The
	// cause is wrapped beside it.
	ErrNoLeader = errors.New("no leader")
)
