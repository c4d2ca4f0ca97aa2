package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

// classes are all of them, and whether what they say is said of the data alone.
var classes = []struct {
	class   string
	refuses bool
	why     string
}{
	{"03", false, "sql_statement_not_yet_complete: of the session"},
	{"08", false, "connection_exception: an outage"},
	{"09", false, "triggered_action_exception: of somebody's trigger, which may be mended"},
	{"0A", false, "feature_not_supported: a cached plan after a migration has it, and passes"},
	{"0B", false, "invalid_transaction_initiation: of the session"},
	{"0F", false, "locator_exception: of no statement of ours"},
	{"0L", false, "invalid_grantor: a permission"},
	{"0P", false, "invalid_role_specification: a permission"},
	{"0Z", false, "diagnostics_exception: of no statement of ours"},
	{"20", false, "case_not_found: of somebody's trigger"},
	{"21", false, "cardinality_violation: of somebody's trigger"},
	{"22", true, "data_exception: a value that a type does not have"},
	{"23", true, "integrity_constraint_violation: a row that may not be"},
	{"24", false, "invalid_cursor_state: of the session"},
	{"25", false, "invalid_transaction_state: a server that is read-only, a session that was idle for too long"},
	{"26", false, "invalid_sql_statement_name: a pooler that gave the session away"},
	{"27", false, "triggered_data_change_violation: of somebody's trigger"},
	{"28", false, "invalid_authorization_specification: a password"},
	{"2B", false, "dependent_privilege_descriptors_still_exist: a permission"},
	{"2D", false, "invalid_transaction_termination: of the session"},
	{"2F", false, "sql_routine_exception: of somebody's function"},
	{"34", false, "invalid_cursor_name: of the session"},
	{"38", false, "external_routine_exception: of somebody's function"},
	{"39", false, "external_routine_invocation_exception: of somebody's function"},
	{"3B", false, "savepoint_exception: of the session"},
	{"3D", false, "invalid_catalog_name: the database is not there"},
	{"3F", false, "invalid_schema_name: the tables are not there"},
	{"40", false, "transaction_rollback: a deadlock, a snapshot from before a swap, a COMMIT that nobody knows the outcome of"},
	{"42", false, "syntax_error_or_access_rule_violation: a permission, a table that was dropped"},
	{"44", false, "with_check_option_violation: of somebody's view"},
	{"53", false, "insufficient_resources: the disk is full, too many connections, no memory"},
	{"54", true, "program_limit_exceeded: a row that fits into no index"},
	{"55", false, "object_not_in_prerequisite_state: a lock that was not to be had"},
	{"57", false, "operator_intervention: stopped, started, canceled"},
	{"58", false, "system_error: the disk"},
	{"72", false, "snapshot_failure: too old"},
	{"F0", false, "config_file_error: the server's"},
	{"HV", false, "fdw_error: of no table of ours"},
	{"P0", false, "plpgsql_error: of somebody's trigger"},
	{"XX", false, "internal_error: a damaged page or index"},
}

// Every code that Postgres has is judged by its class, and every class has its reason.
func TestEveryCodeIsARefusalOrAnOutage(t *testing.T) {
	refuses := map[string]bool{}
	for _, c := range classes {
		refuses[c.class] = c.refuses
	}
	f, err := os.Open("testdata/sqlstates.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, refused := 0, 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		code, name, _ := strings.Cut(lines.Text(), " ")
		want, known := refuses[code[:2]]
		if !known {
			t.Errorf("%s (%s) is of a class that nothing was decided about", code, name)
		}
		n++
		if want {
			refused++
		}
		for _, severity := range []string{"ERROR", "FATAL", "PANIC"} {
			err := fmt.Errorf("write: %w", &pgconn.PgError{Code: code, SeverityUnlocalized: severity})
			if got := postgres.Refuses(err); got != (want && severity == "ERROR") {
				t.Errorf("%s %s (%s): a refusal: %v", severity, code, name, got)
			}
		}
	}
	t.Logf("%d codes, %d of them refusals", n, refused)
	if n < 250 || refused == 0 {
		t.Errorf("only %d codes were looked at", n)
	}
}

// Errors that have a refusal's code, or none, and are not about the data.
func TestWhatIsNoRefusalThoughItLooksLikeOne(t *testing.T) {
	for _, tt := range []struct {
		why  string
		err  error
		want bool
	}{
		{"an index row that is too long", &pgconn.PgError{Code: "54000", SeverityUnlocalized: "ERROR", File: "nbtutils.c"}, true},
		{"no transaction ids are left", &pgconn.PgError{Code: "54000", SeverityUnlocalized: "ERROR", File: "varsup.c"}, false},
		{"no multixacts are left", &pgconn.PgError{Code: "54000", SeverityUnlocalized: "ERROR", File: "multixact.c"}, false},
		{"a server that gives no file", &pgconn.PgError{Code: "23505", SeverityUnlocalized: "ERROR"}, true},
		{"no code", &pgconn.PgError{}, false},
		{"no error of Postgres", context.DeadlineExceeded, false},
		{"nothing", nil, false},
	} {
		if got := postgres.Refuses(tt.err); got != tt.want {
			t.Errorf("%s: a refusal: %v", tt.why, got)
		}
	}
}

// What the server itself says, of sessions that cannot be had and of rows that cannot be.
func TestRefusalsOfARealServer(t *testing.T) {
	t.Parallel()
	url := testenv.Postgres(t)
	for _, tt := range []struct {
		name, options, sql, code string
		want                     bool
	}{
		{"a setting that is none", " -c TimeZone=nowhere", "SELECT 1", "22023", false},
		{"an index row that is too long", "", "CREATE TABLE l (t text PRIMARY KEY); INSERT INTO l SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) AS i", "54000", true},
		{"a value that a type does not have", "", "SELECT 'x'::int", "22P02", true},
		{"a key that is taken", "", "CREATE TABLE k (i int PRIMARY KEY); INSERT INTO k VALUES (1), (1)", "23505", true},
		{"a server that takes no writes", " -c default_transaction_read_only=on", "CREATE TABLE r (i int)", "25006", false},
		{"a statement that takes too long", " -c statement_timeout=1", "SELECT pg_sleep(10)", "57014", false},
		{"a table that is not there", "", "SELECT FROM nowhere", "42P01", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := pgxpool.ParseConfig(url)
			if err != nil {
				t.Fatal(err)
			}
			if tt.options != "" {
				c.ConnConfig.RuntimeParams["options"] = tt.options
			}
			pool, err := pgxpool.NewWithConfig(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			conn, err := pool.Acquire(t.Context())
			if err == nil {
				_, err = conn.Conn().PgConn().Exec(t.Context(), tt.sql).ReadAll()
				conn.Release()
			}
			var pgErr *pgconn.PgError
			if !errors.As(err, &pgErr) || pgErr.Code != tt.code {
				t.Fatalf("%v, want SQLSTATE %s", err, tt.code)
			}
			if got := postgres.Refuses(err); got != tt.want {
				t.Errorf("%v: a refusal: %v", err, got)
			}
		})
	}
}
