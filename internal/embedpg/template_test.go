package embedpg

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Of servers that start at once on empty folders one waits for initdb, and the others
// for its copy; each then has a cluster of its own.
func TestServersBeginWithACopy(t *testing.T) {
	templates := openDir(t)
	t.Setenv(TemplatesEnv, templates)
	servers := make([]*Server, 3)
	var wg sync.WaitGroup
	for i := range servers {
		wg.Go(func() {
			var err error
			if servers[i], err = Start(within(t), Options{Ephemeral: true}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	identifiers := map[string]int{}
	for _, s := range servers {
		if s == nil {
			continue
		}
		defer func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		}()
		conn := connect(t, s.ConnString("postgres"))
		var identifier string
		if err := conn.QueryRow(within(t), "SELECT system_identifier::text FROM pg_control_system()").Scan(&identifier); err != nil {
			t.Fatal(err)
		}
		identifiers[identifier]++
		if _, err := conn.Exec(within(t), "CREATE TABLE own ()"); err != nil {
			t.Errorf("a table that another server's cluster has: %v", err)
		}
	}
	if len(identifiers) != 1 {
		t.Errorf("servers by what initdb gave them: %v, want all by the same", identifiers)
	}
	left, err := filepath.Glob(filepath.Join(templates, "*"))
	if err != nil || len(left) != 2 || left[0]+".lock" != left[1] {
		t.Errorf("the folder holds %v, %v; want one cluster and its lock", left, err)
	}

	t.Run("what initdb did not finish is no template", func(t *testing.T) {
		templates := openDir(t)
		t.Setenv(TemplatesEnv, templates)
		version := servers[0].Version()
		write(t, filepath.Join(templates, version+".new", "PG_VERSION"), "15\n", 0o600)
		s := start(t, Options{Ephemeral: true})
		connect(t, s.ConnString("postgres"))
		if _, err := os.Stat(filepath.Join(templates, version+".new")); !os.IsNotExist(err) {
			t.Errorf("it is still there: %v", err)
		}
	})
}
