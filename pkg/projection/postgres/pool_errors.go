package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrAcquireTimeout: no connection could be had in PoolConfig.AcquireTimeout: all
// are in use, or the server does not answer. Nothing was asked of the database;
// try again, or raise MaxConns.
var ErrAcquireTimeout = errors.New("no connection in time")

// AcquireTimeoutError says how long was waited. It is also
// context.DeadlineExceeded.
type AcquireTimeoutError struct{ Timeout time.Duration }

func (e *AcquireTimeoutError) Error() string {
	return fmt.Sprintf("no connection in time: waited %s for one of the pool", e.Timeout)
}

// Is makes it match ErrAcquireTimeout and context.DeadlineExceeded.
func (e *AcquireTimeoutError) Is(target error) bool {
	return target == ErrAcquireTimeout || target == context.DeadlineExceeded
}
