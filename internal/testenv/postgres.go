package testenv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/internal/embedpg"
)

// fetchPatience bounds the start of PostgreSQL where it has to be fetched first.
const fetchPatience = 5 * time.Minute

// Template says how a test's database begins. It is prepared once in a test binary and then copied.
type Template struct {
	// Name is unique among the templates of a test binary.
	Name string
	// Prepare fills the empty database at the URL, as migrations do. It MUST close what it opens: a
	// database in use cannot be copied. Nil: the database stays empty.
	Prepare func(ctx context.Context, url string) error
}

// empty is the template of tests that name none.
var empty = Template{Name: "empty"}

// databases is the shared PostgreSQL server and its templates.
type databases struct {
	server *embedpg.Server

	mu        sync.Mutex // guards admin, which serves one at a time, and templates, each of which is prepared once
	admin     *pgx.Conn
	templates map[string]error
}

var (
	oneDatabaseServer = sync.OnceValues(startDatabases)
	databaseNumber    atomic.Int64
)

func startDatabases() (*databases, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchPatience)
	defer cancel()
	s, err := embedpg.Start(ctx, embedpg.Options{Ephemeral: true, MaxConnections: 200})
	if err != nil {
		return nil, err
	}
	admin, err := pgx.Connect(ctx, s.SocketConnString("postgres"))
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	atEnd(func() error {
		return errors.Join(admin.Close(context.Background()), s.Stop())
	})
	return &databases{server: s, admin: admin, templates: map[string]error{}}, nil
}

// Postgres gives the test a database of its own on a server without durability, as a URL that
// [pgx.Connect] and pgxpool take; it leads to a socket. At most one template says how the database
// begins. Sessions that the test leaves open are ended, and the database dropped, at its end.
func Postgres(t testing.TB, template ...Template) string {
	t.Helper()
	if len(template) > 1 {
		t.Fatal("testenv.Postgres: a database begins with one template")
	}
	begin := empty
	if len(template) == 1 {
		begin = template[0]
	}
	d, err := oneDatabaseServer()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	name := fmt.Sprintf("test_%d", databaseNumber.Add(1))
	if err := d.create(ctx, name, begin); err != nil {
		t.Fatal(err)
	}
	stopWith(t, func() error { return d.drop(name) })
	return d.server.ConnString(name)
}

func (d *databases) create(ctx context.Context, name string, from Template) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	template := "template_" + from.Name
	err, ready := d.templates[template]
	if !ready {
		err = d.prepare(ctx, template, from.Prepare)
		d.templates[template] = err
	}
	if err != nil {
		return fmt.Errorf("template %s: %w", from.Name, err)
	}
	return d.copy(ctx, name, template)
}

func (d *databases) prepare(ctx context.Context, name string, fill func(ctx context.Context, url string) error) error {
	if err := d.copy(ctx, name, "template0"); err != nil || fill == nil {
		return err
	}
	return fill(ctx, d.server.ConnString(name))
}

// copy creates a database by copying files: on a server that does not sync this takes a tenth of what
// the default does, which logs every page.
func (d *databases) copy(ctx context.Context, name, template string) error {
	_, err := d.admin.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s STRATEGY FILE_COPY",
		pgx.Identifier{name}.Sanitize(), pgx.Identifier{template}.Sanitize()))
	return err
}

func (d *databases) drop(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.admin.Exec(ctx, fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", pgx.Identifier{name}.Sanitize()))
	return err
}
