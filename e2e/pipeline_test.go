package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// imported is a line of `annals import -o jsonl`.
type imported struct {
	File, Workflow, Run, Outcome, Reason string
	Events                               int
	Dropped                              []string
}

// verified is `annals verify -o json`.
type verified struct {
	Commits, Events, Runs int64
	Rows                  map[string]int64
	Differences           []struct{ Kind, Workflow, Run, Where string }
}

// listed is `annals list -o json`.
type listed struct {
	Executions []struct {
		Namespace, WorkflowID, RunID, WorkflowType, Status string
		HistoryLength                                      json.Number
		StartTime                                          string
	}
	NextPageToken string
}

type counted struct {
	Count  int64
	Groups []struct {
		Values []string
		Count  int64
	}
}

// newEnvironment is a NATS process by deploy/nats/single.conf, an empty
// database, a log and tables.
func newEnvironment(t *testing.T) (environment, *testenv.Process) {
	t.Helper()
	server := testenv.NATSProcess(t, "")
	e := environment{t: t, nats: server.URL(), database: testenv.Postgres(t)}
	e.prepare()
	return e, server
}

func (e environment) log(t testing.TB) *natslog.Log {
	t.Helper()
	js, err := jetstream.New(testenv.Connect(t, e.nats))
	if err != nil {
		t.Fatal(err)
	}
	log, err := natslog.Open(t.Context(), js, natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// size is how many commits the log holds.
func size(t testing.TB, log *natslog.Log) uint64 {
	t.Helper()
	var n uint64
	for p := range events.Partition(log.Identity().Map.Partitions()) {
		b, err := log.Bounds(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		n += b.Last - b.First + 1
	}
	return n
}

func TestHistoriesGoThroughTheWholePipeline(t *testing.T) {
	t.Parallel()
	dir, hs := folder(t)
	e, _ := newEnvironment(t)
	e.startProjector()

	for _, line := range parseLines[imported](t, e.annals(0, "import", "--ids", "file", "-o", "jsonl", dir)) {
		if line.Outcome != "imported" {
			t.Errorf("%s: %s (%s), want imported", line.File, line.Outcome, line.Reason)
		}
	}
	log := e.log(t)
	before := size(t, log)

	t.Run("a second import changes nothing and says so", func(t *testing.T) {
		lines := parseLines[imported](t, e.annals(0, "import", "--ids", "file", "-o", "jsonl", dir))
		if len(lines) != len(hs) {
			t.Errorf("%d lines for %d files", len(lines), len(hs))
		}
		for _, line := range lines {
			if line.Outcome != "present" {
				t.Errorf("%s: %s (%s), want present", line.File, line.Outcome, line.Reason)
			}
		}
		if after := size(t, log); after != before {
			t.Errorf("the log has %d commits, had %d", after, before)
		}
	})

	t.Run("every history comes back as it was", func(t *testing.T) {
		for _, h := range hs {
			got, _, err := eventjson.Decode([]byte(e.annals(0, "history", h.name, "-o", "temporal")), eventjson.Options{})
			if err != nil {
				t.Errorf("%s: %v", h.name, err)
				continue
			}
			if diff := same(h.events, got); diff != "" {
				t.Errorf("%s: %s", h.name, diff)
			}
		}
	})

	t.Run("list and count say what the files say", func(t *testing.T) {
		e.checkList(t, "default", hs)
	})

	t.Run("verify finds nothing and counts everything", func(t *testing.T) {
		e.checkVerify(t, hs, 1)
	})

	t.Run("a damaged file is refused by name and the others are taken", func(t *testing.T) {
		damaged := t.TempDir()
		for i, h := range hs[:3] {
			data, err := os.ReadFile(h.file)
			if err != nil {
				t.Fatal(err)
			}
			if i == 1 {
				data = data[:len(data)/2]
			}
			if err := os.WriteFile(filepath.Join(damaged, filepath.Base(h.file)), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want := map[string]string{hs[0].name: "imported", hs[1].name: "refused", hs[2].name: "imported"}
		got := map[string]string{}
		for _, line := range parseLines[imported](t, e.annals(1, "import", "--namespace", "damaged", "--ids", "file", "-o", "jsonl", damaged)) {
			name := filepath.Base(line.File)
			got[name[:len(name)-len(".json")]] = line.Outcome
			if line.Outcome == "refused" && line.Reason == "" {
				t.Errorf("%s is refused without a reason", line.File)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// checkList holds the tables of a namespace against the files.
func (e environment) checkList(t *testing.T, namespace string, hs []history) {
	t.Helper()
	byStatus, byType := map[string]int64{}, map[string]int64{}
	lengths := map[string]int{}
	for _, h := range hs {
		byStatus[h.status()]++
		byType[h.workflowType()]++
		lengths[h.name] = len(h.events)
	}
	for field, want := range map[string]map[string]int64{"ExecutionStatus": byStatus, "WorkflowType": byType} {
		got := map[string]int64{}
		c := parse[counted](t, e.annals(0, "count", "--namespace", namespace, "--group-by", field, "--wait-for", "now", "-o", "json"))
		for _, g := range c.Groups {
			got[g.Values[0]] = g.Count
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("count by %s, files (-) and tables (+):\n%s", field, diff)
		}
		if c.Count != int64(len(hs)) {
			t.Errorf("count is %d, want %d", c.Count, len(hs))
		}
	}
	got := map[string]int{}
	for token := ""; ; {
		page := parse[listed](t, e.annals(0, "list", "--namespace", namespace, "--limit", "40", "--page-token", token, "-o", "json"))
		for _, x := range page.Executions {
			n, err := x.HistoryLength.Int64()
			if err != nil {
				t.Fatal(err)
			}
			if _, twice := got[x.WorkflowID]; twice {
				t.Errorf("%s is listed twice", x.WorkflowID)
			}
			got[x.WorkflowID] = int(n)
		}
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	if diff := cmp.Diff(lengths, got); diff != "" {
		t.Errorf("history lengths, files (-) and tables (+):\n%s", diff)
	}
	// Conditions on status, type and start time, against the files.
	middle := hs[len(hs)/2]
	for _, tc := range []struct {
		query string
		holds func(history) bool
	}{
		{"ExecutionStatus = 'Running'", func(h history) bool { return h.status() == "Running" }},
		{"WorkflowType = '" + middle.workflowType() + "'", func(h history) bool { return h.workflowType() == middle.workflowType() }},
		{"StartTime > '" + middle.startTime().Format("2006-01-02T15:04:05.000000Z") + "' AND ExecutionStatus != 'Running'", func(h history) bool {
			return h.startTime().Truncate(1000).After(middle.startTime().Truncate(1000)) && h.status() != "Running"
		}},
		{"WorkflowId = '" + middle.name + "'", func(h history) bool { return h.name == middle.name }},
	} {
		want := int64(0)
		for _, h := range hs {
			if tc.holds(h) {
				want++
			}
		}
		if c := parse[counted](t, e.annals(0, "count", "--namespace", namespace, "--query", tc.query, "-o", "json")); c.Count != want {
			t.Errorf("count of %s is %d, the files have %d", tc.query, c.Count, want)
		}
	}
}

// checkVerify runs verify on a log that holds the files so many times, and
// nothing else.
func (e environment) checkVerify(t *testing.T, hs []history, times int) {
	t.Helper()
	v := parse[verified](t, e.annals(0, "verify", "-o", "json"))
	if want := int64(total(hs) * times); v.Events != want || v.Rows["events"] != want {
		t.Errorf("verify counted %d events and %d rows of events, the files have %d", v.Events, v.Rows["events"], want)
	}
	if want := int64(len(hs) * times); v.Runs != want || v.Rows["executions"] != want || v.Rows["workflows"] != want {
		t.Errorf("verify counted %d runs, rows %v, the files have %d", v.Runs, v.Rows, want)
	}
}

// Without --ids file, workflow ids come from the histories, and a few real ones
// clash: the same run with other content, or another run of it still open.
func TestHistoriesThatClashAreRefusedEachWithItsReason(t *testing.T) {
	t.Parallel()
	dir, hs := folder(t)
	e, _ := newEnvironment(t)
	want := clashes(hs)
	if len(want) == 0 {
		t.Fatal("no two files clash: this test shows nothing")
	}
	byFile := map[string]history{}
	for _, h := range hs {
		byFile[h.file] = h
	}
	r := e.run("annals", "import", "-o", "jsonl", dir)
	refused := map[string][]string{}
	for _, line := range parseLines[imported](t, r.stdout) {
		switch line.Outcome {
		case "refused":
			reason := line.Reason
			for _, known := range []string{otherContent, stillOpen} {
				if strings.Contains(line.Reason, known) {
					reason = known
				}
			}
			refused[line.Workflow] = append(refused[line.Workflow], reason)
			t.Logf("refused: %s of %s: %s", filepath.Base(line.File), line.Workflow, line.Reason)
		case "imported", "present", "extended":
			args := []string{"history", line.Workflow, "--run", line.Run, "-o", "temporal"}
			got, _, err := eventjson.Decode([]byte(e.annals(0, args...)), eventjson.Options{})
			if err != nil {
				t.Errorf("%s: %v", line.File, err)
				continue
			}
			h := byFile[line.File]
			if len(got) > len(h.events) {
				got = got[:len(h.events)] // a longer export of the run is there too
			}
			if diff := same(h.events, got); diff != "" {
				t.Errorf("%s: %s", line.File, diff)
			}
		default:
			t.Errorf("%s: outcome %q", line.File, line.Outcome)
		}
	}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Errorf("files that clash (-) and files that were refused (+):\n%s", diff)
	}
	if r.code != 1 {
		t.Errorf("exit code %d, want 1", r.code)
	}
}
