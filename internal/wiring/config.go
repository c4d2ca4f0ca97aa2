package wiring

import (
	"log/slog"
	"os"
	"strings"

	"github.com/annals-io/annals/internal/wiring/discovery"
)

// Config says where the servers are as far as flags say it. Empty fields are
// looked for as the package's doc tells.
type Config struct {
	NATSURL     string
	NATSContext string
	DatabaseURL string
	// Monitors are base URLs of NATS servers' monitoring ports, which tell how
	// durable they are. Empty: the system account is asked.
	Monitors []string
	// Name is what servers show for this program's connections.
	Name string
	// Logger gets lost and regained connections. Nil: slog.Default().
	Logger *slog.Logger
}

func (c Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.Default()
	}
	return c.Logger
}

// first is the first of the texts that is not empty.
func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// natsGiven is where flags and environment say that NATS is.
func (c Config) natsGiven() (url, context string) {
	if c.NATSURL != "" {
		return c.NATSURL, ""
	}
	if c.NATSContext != "" {
		return "", c.NATSContext
	}
	if url := os.Getenv("NATS_URL"); url != "" {
		return url, ""
	}
	return "", os.Getenv("NATS_CONTEXT")
}

// databaseGiven is where flags and environment say that Postgres is; ok with an
// empty URL means that variables of psql say it.
func (c Config) databaseGiven() (url string, ok bool) {
	if url := first(c.DatabaseURL, os.Getenv("DATABASE_URL")); url != "" {
		return url, true
	}
	return "", pgVariable() != ""
}

// pgVariable is the name of a variable that says where or what psql connects
// to. Those that only tune a connection do not count.
func pgVariable() string {
	for _, name := range []string{"PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE", "PGSERVICEFILE", "PGPASSFILE"} {
		if os.Getenv(name) != "" {
			return name
		}
	}
	return ""
}

// Running is the `annals dev` that a program started here would use, nil if
// there is none.
func (c Config) Running() (*discovery.Record, error) { return discovery.Find(".") }

// redact hides the passwords of URLs, of which there may be several with commas
// between them, in messages.
func redact(urls string) string {
	all := strings.Split(urls, ",")
	for i, url := range all {
		scheme, rest, ok := strings.Cut(url, "://")
		if !ok {
			scheme, rest = "", url
		}
		at := strings.LastIndexByte(rest, '@')
		if at < 0 {
			continue
		}
		user := rest[:at]
		if name, _, secret := strings.Cut(user, ":"); secret {
			user = name + ":xxxxx"
		} else {
			user = "xxxxx" // a token
		}
		all[i] = user + rest[at:]
		if ok {
			all[i] = scheme + "://" + all[i]
		}
	}
	return strings.Join(all, ",")
}
