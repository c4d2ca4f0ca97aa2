package raw

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Visible writes rows by one connection, each in a transaction of its own, and
// asks for them by another. It is for one goroutine.
type Visible struct {
	write, read *pgx.Conn
	last        int64
}

// NewVisible makes the table, which must not be there yet.
func NewVisible(ctx context.Context, write, read *pgx.Conn) (*Visible, error) {
	_, err := write.Exec(ctx, `CREATE TABLE raw_visible (id bigint PRIMARY KEY, body bytea NOT NULL)`)
	return &Visible{write: write, read: read}, err
}

// Once writes a row and returns when it is seen.
func (v *Visible) Once(ctx context.Context, body []byte) error {
	v.last++
	if _, err := v.write.Exec(ctx, `INSERT INTO raw_visible (id, body) VALUES ($1, $2)`, v.last, body); err != nil {
		return err
	}
	for {
		var seen bool
		if err := v.read.QueryRow(ctx, `SELECT EXISTS (SELECT FROM raw_visible WHERE id = $1)`, v.last).Scan(&seen); err != nil || seen {
			return err
		}
	}
}
