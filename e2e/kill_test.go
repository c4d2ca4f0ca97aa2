package e2e

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
)

// kills is how often each of the servers is killed while histories go in, some
// of them acknowledged and some not.
const kills = 5

func TestNothingIsLostOrDoubledWhenServersAreKilledDuringTheImport(t *testing.T) {
	t.Parallel()
	dir, hs := folder(t)
	e, server := newEnvironment(t)
	p := e.startProjector()
	done := map[string]int{}
	var namespaces []string
	for i := 0; done["projector"] < kills || done["nats-server"] < kills; i++ {
		if i == 4*kills {
			t.Fatalf("after %d imports only %v were killed in the middle of one", i, done)
		}
		victim := []string{"nats-server", "projector"}[i%2]
		ns := fmt.Sprintf("round-%d", i)
		namespaces = append(namespaces, ns)
		if at, ok := e.importAndKill(t, dir, ns, len(hs), victim, server, p); ok {
			done[victim]++
			t.Logf("%s: %s killed when %d of %d files were acknowledged", ns, victim, at, len(hs))
		}
	}
	for _, ns := range namespaces[:2] {
		e.checkList(t, ns, hs)
	}
	log := e.log(t)
	for _, ns := range namespaces {
		for _, h := range hs {
			var got []*events.Event
			for ev, err := range log.Read(t.Context(), events.Workflow{Namespace: ns, ID: h.name}, events.ReadOptions{}) {
				if err != nil {
					t.Fatalf("%s in %s: %v", h.name, ns, err)
				}
				got = append(got, ev)
			}
			if diff := same(h.events, got); diff != "" {
				t.Errorf("%s in %s: %s", h.name, ns, diff)
			}
		}
	}
	e.checkVerify(t, hs, len(namespaces))
}

// importAndKill imports the folder and kills a server after a random number of
// acknowledgements. It reports whether the import was in the middle then.
func (e environment) importAndKill(t *testing.T, dir, namespace string, files int, victim string, server *testenv.Process, p *projector) (at int, midway bool) {
	t.Helper()
	c := e.command(t.Context(), "annals", "import", "--namespace", namespace, "--ids", "file", "-o", "jsonl", dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	after := 1 + rand.IntN(max(files*3/4, 1))
	n := 0
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := parse[imported](t, lines.Text())
		if line.Outcome != "imported" && line.Outcome != "present" && line.Outcome != "extended" {
			t.Errorf("%s: %s is %s: %s", namespace, line.File, line.Outcome, line.Reason)
		}
		if n++; n != after {
			continue
		}
		switch victim {
		case "projector":
			p.kill()
			p.start()
		default:
			server.Kill()
			server.Restart()
		}
		at = n
	}
	if err := c.Wait(); err != nil {
		t.Errorf("the import into %s: %v", namespace, err)
	}
	if n != files {
		t.Errorf("the import into %s said %d lines for %d files", namespace, n, files)
	}
	return at, at > 0 && at < n
}
