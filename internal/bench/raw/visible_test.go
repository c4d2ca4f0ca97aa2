package raw_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/internal/bench/raw"
	"github.com/annals-io/annals/internal/testenv"
)

// A baseline that does not wait until its row is committed and seen by another
// session would be faster than anything.
func TestVisible(t *testing.T) {
	url := testenv.Postgres(t)
	connect := func() *pgx.Conn {
		c, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(t.Context()) })
		return c
	}
	other := connect()
	v, err := raw.NewVisible(t.Context(), connect(), connect())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := v.Once(t.Context(), []byte("body")); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := other.QueryRow(t.Context(), `SELECT count(*) FROM raw_visible WHERE body = 'body'`).Scan(&n); err != nil || n != i+1 {
			t.Errorf("after %d rows a third session sees %d: %v", i+1, n, err)
		}
	}
	if _, err := raw.NewVisible(t.Context(), connect(), connect()); err == nil {
		t.Error("the table was there already, with rows that would be seen")
	}
}
