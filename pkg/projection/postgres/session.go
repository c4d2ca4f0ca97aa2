package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// idleSession is how long a session may be idle in a transaction, where all that
	// it sends lies ready.
	idleSession = 5 * time.Second
	// idleReading is the same where the log is read in between: more than lockedRead.
	idleReading = 30 * time.Second
)

// sessionSettings end a session that holds locks for nobody: the process is
// stopped, or its machine is gone. $1 says that they are of the transaction alone, $2
// how long it may be idle in one.
const sessionSettings = `SELECT set_config(name, value, $1) FROM (VALUES
	('idle_in_transaction_session_timeout', $2),
	('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '2'), ('tcp_keepalives_count', '3')) AS s (name, value)`

// guardSessions has all sessions of a pool end by themselves if they are idle in a
// transaction, or if the client's machine is gone.
func guardSessions(c *pgxpool.Config) {
	after := c.AfterConnect
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		// Not as parameters of the connection, which poolers refuse.
		_, err := conn.Exec(ctx, sessionSettings, false, milliseconds(idleSession))
		if err == nil && after != nil {
			err = after(ctx, conn)
		}
		return err
	}
}

// guardTransaction has the session of a transaction, which may be of anybody's
// pool, end by itself in the same cases, until the transaction ends.
func guardTransaction(ctx context.Context, tx pgx.Tx, idle time.Duration) error {
	_, err := tx.Exec(ctx, sessionSettings, true, milliseconds(idle))
	return err
}

// milliseconds is a duration as a setting has it; at least one: zero is no limit.
func milliseconds(d time.Duration) string { return fmt.Sprintf("%dms", max(d.Milliseconds(), 1)) }

// ownPool is a pool of as many connections as another one, to the same database.
func ownPool(ctx context.Context, of *pgxpool.Pool) (*pgxpool.Pool, error) {
	c := of.Config()
	c.MinConns, c.MinIdleConns = 0, 0
	guardSessions(c)
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	return pool, nil
}
