package pgfault_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/pgfault"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// A transaction of one row, by a client whose statements may be cut.
func insert(t *testing.T, url string, faults *pgfault.Injector) error {
	t.Helper()
	c, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	faults.Configure(&c.Config)
	conn, err := pgx.ConnectConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	return pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "-- of the test\nINSERT INTO annals_x_1.rows VALUES ($1)", 1)
		if err != nil {
			return err
		}
		_, err = tx.CopyFrom(t.Context(), pgx.Identifier{"annals_x_1", "rows"}, []string{"n"}, pgx.CopyFromRows([][]any{{2}}))
		return err
	})
}

// Each statement is met once, by its number; what is stored is what the server committed, whatever the client was
// told.
func TestStatementsAreCut(t *testing.T) {
	url := testenv.Postgres(t)
	admin, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	if _, err := admin.Exec(t.Context(), "CREATE SCHEMA annals_x_1; CREATE TABLE annals_x_1.rows (n int)"); err != nil {
		t.Fatal(err)
	}
	var statements []pgfault.Statement
	faults := pgfault.New()
	faults.Decide(func(s pgfault.Statement) pgfault.Fault {
		statements = append(statements, s)
		return pgfault.None
	})
	if err := insert(t, url, faults); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, s := range statements {
		if s.Step >= 0 {
			texts = append(texts, s.Text)
		}
		if s.Step >= 0 && s.Step != len(texts)-1 {
			t.Errorf("%q is step %d, want %d", s.Text, s.Step, len(texts)-1)
		}
	}
	rows := func() (n int) {
		t.Helper()
		if err := admin.QueryRow(t.Context(), "SELECT count(*) FROM annals_x_1.rows").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := rows(); n != 2 {
		t.Fatalf("%d rows without a fault", n)
	}
	for step, text := range texts {
		for _, f := range []pgfault.Fault{pgfault.Before, pgfault.After} {
			before := rows()
			faults.Decide(func(s pgfault.Statement) pgfault.Fault {
				if s.Step == step {
					return f
				}
				return pgfault.None
			})
			if err := insert(t, url, faults); err == nil {
				t.Errorf("cut %s %s (step %d), and the client learnt of no error", f, text, step)
			}
			want := before
			if text == "commit" && f == pgfault.After {
				want += 2
			}
			if n := rows(); n != want {
				t.Errorf("cut %s %s: %d rows, want %d", f, text, n, want)
			}
			if faults.Count(text, f) == 0 {
				t.Errorf("cut %s %s is not counted", f, text)
			}
		}
	}
	t.Logf("\n%s", faults)
	for _, text := range []string{"begin", "INSERT rows", "COPY rows", "COPY rows, its end", "commit"} {
		if faults.Count(text, pgfault.After) == 0 {
			t.Errorf("%s was never met; there were %q", text, texts)
		}
	}
}

// A statement that the server refuses is told from one that it ran.
func TestStatementThatFailsIsCountedAsFailed(t *testing.T) {
	faults := pgfault.New()
	faults.Decide(func(s pgfault.Statement) pgfault.Fault {
		if s.Text == "prepare" {
			return pgfault.After
		}
		return pgfault.None
	})
	if err := insert(t, testenv.Postgres(t), faults); err == nil { // there is no such table
		t.Error("no error")
	}
	if n := faults.Happened()[pgfault.Happened{Statement: "prepare", Fault: pgfault.After, Failed: true}]; n != 1 {
		t.Errorf("happened: %v", faults.Happened())
	}
}
