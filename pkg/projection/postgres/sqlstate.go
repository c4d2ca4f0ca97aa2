package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Refuses reports whether an error is Postgres's refusal of what a statement would have stored: of a value, by a
// constraint, by a limit such as that of an index row. It says the same of the same data whenever it is asked, and
// takes other data. Whatever it says of anything else, of itself, of the connection, of permissions, may pass, or be
// mended, and the data is not to blame: such an error is no refusal.
//
// The list of SQLSTATE codes is that of PostgreSQL 15, appendix A.
func Refuses(err error) bool {
	var pgErr *pgconn.PgError
	var connecting *pgconn.ConnectError
	if !errors.As(err, &pgErr) || errors.As(err, &connecting) || len(pgErr.Code) != 5 {
		return false
	}
	// What ends a session is about the session: a setting that the URL names is "invalid_parameter_value", too.
	if pgErr.SeverityUnlocalized == "FATAL" || pgErr.SeverityUnlocalized == "PANIC" {
		return false
	}
	switch pgErr.Code[:2] {
	case "22", "23": // data_exception, integrity_constraint_violation
		return true
	case "54": // program_limit_exceeded
		// A server that has run out of transaction ids has this code, too, and refuses whatever would be written.
		return !strings.HasSuffix(pgErr.File, "varsup.c") && !strings.HasSuffix(pgErr.File, "multixact.c")
	}
	return false
}

// LeaveReadOnly has a pool forget its connections if an error says that the server takes no writes: it may be a
// standby by now, or about to be switched off, and a connection that is made anew goes where the URL's
// target_session_attrs says.
func LeaveReadOnly(pool *pgxpool.Pool, err error) {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "25006" { // read_only_sql_transaction
		pool.Reset()
	}
}
