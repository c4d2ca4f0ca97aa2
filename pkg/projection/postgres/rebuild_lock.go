package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// open takes the lock that keeps two processes from filling the same tables, on
// a session of its own, which a batch of the projector never waits for. What keeps
// two from doing harm is the compare-and-set on the checkpoints, and the state of
// the generation: the lock only spares them the work.
func (r *rebuild) open(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, r.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	// The server may not know yet that the process is gone that had it last.
	_, err = conn.Exec(ctx, `SET lock_timeout = '2s'`)
	if err == nil {
		_, err = conn.Exec(ctx, `SELECT pg_advisory_lock(hashtextextended($1, 0))`, "annals rebuild "+r.definition.Name)
	}
	if isLocked(err) {
		err = fmt.Errorf("%w: %s", ErrRebuilding, r.definition.Name)
	}
	if err == nil {
		_, err = conn.Exec(ctx, `RESET lock_timeout`)
	}
	if err != nil {
		_ = closeConn(conn)
		return err
	}
	r.conn = conn
	return nil
}

// reopen is open where the session is gone.
func (r *rebuild) reopen(ctx context.Context) error {
	if r.conn != nil && !r.conn.IsClosed() {
		if err := r.conn.Ping(ctx); err == nil {
			return nil
		}
	}
	r.close()
	return r.open(ctx)
}

func (r *rebuild) close() {
	if r.conn != nil {
		_ = closeConn(r.conn)
		r.conn = nil
	}
}

func closeConn(c *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return c.Close(ctx)
}
