package cli_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/annals-io/annals/internal/testenv"
)

// measure is a metric, as docs/operation.md has it or as a page shows it.
type measure struct {
	Type   string
	Labels []string
	by     []string // programs
}

// documented are the metrics of docs/operation.md.
func documented(t *testing.T) map[string]measure {
	t.Helper()
	text, err := os.ReadFile("../../docs/operation.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]measure{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(annals_[a-z_]+)` \\|(.*)\\|$").FindAllStringSubmatch(string(text), -1) {
		cells := strings.Split(row[2], "|")
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		m := measure{Type: cells[0], by: strings.Split(cells[3], ", ")}
		if cells[2] != "" {
			m.Labels = strings.Split(cells[2], "`, `")
		}
		if (cells[1] == "s") != strings.HasSuffix(row[1], "_seconds") {
			t.Errorf("%s is said to be in %q", row[1], cells[1])
		}
		if cells[4] == "" {
			t.Errorf("%s: nothing says what it is", row[1])
		}
		all[row[1]] = m
	}
	return all
}

// families are the metrics of our own on a page.
func families(page string) map[string]measure {
	all := map[string]measure{}
	for _, family := range regexp.MustCompile(`(?m)^# TYPE (annals_[a-z_]+) (\w+)$`).FindAllStringSubmatch(page, -1) {
		labels := map[string]bool{}
		for _, sample := range regexp.MustCompile(`(?m)^`+family[1]+`(?:_bucket|_sum|_count)?\{(.*)\}`).FindAllStringSubmatch(page, -1) {
			for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(sample[1], -1) {
				if l[1] != "le" {
					labels[l[1]] = true
				}
			}
		}
		all[family[1]] = measure{Type: family[2], Labels: slices.Sorted(maps.Keys(labels))}
	}
	return all
}

// What docs/operation.md lists is what the programs show: no more and no less, of the
// same types and with the same labels.
func TestMetricsAreThoseThatAreDocumented(t *testing.T) {
	t.Parallel()
	bin, dir := install(t), t.TempDir()
	env := []string{"NATS_URL=" + testenv.NATSURL(t), "DATABASE_URL=" + testenv.Postgres(t)}
	if _, stderr, code := run(t, bin, dir, env, "annals", "log", "create", "--streams", "2"); code != 0 {
		t.Fatalf("annals log create: exit code %d\n%s", code, stderr)
	}
	ingest := start(t, bin, dir, env, "ingest", "--http", "127.0.0.1:0")
	projector := start(t, bin, dir, env, "projector", "run", "--http", "127.0.0.1:0")
	pages := map[string]string{"ingest": ingest.logged("serving", "url"), "projector": projector.logged("serving metrics", "url")}
	ingest.logged("the log is open", "log")
	for _, call := range []struct{ name, body string }{
		{"Append", `{"workflow": {"workflowId": "order-7"}, "newRun": {"runId": "r"}, "events": [{"eventType": "WorkflowExecutionStarted"},
			{"eventType": "ActivityTaskScheduled", "activityTaskScheduledEventAttributes": {"activityId": "a", "activityType": {"name": "A"}}}]}`},
		{"RecordHeartbeat", `{"workflow": {"workflowId": "order-7"}, "runId": "r", "activityId": "a", "attempt": 1}`},
	} {
		if status, answer := fetch(t, pages["ingest"]+"/annals.v1.LogService/"+call.name, call.body); status != 200 {
			t.Fatalf("%s: %d %s", call.name, status, answer)
		}
	}
	want := documented(t)
	for program, url := range pages {
		expected := map[string]measure{}
		for name, m := range want {
			if slices.Contains(m.by, program) {
				expected[name] = m
			}
		}
		var diff string
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s, documented (-) and shown (+):\n%s", program, diff)
			}
		})
		eventually(t, fmt.Sprintf("%s does not show what is documented", program), func() bool {
			_, page := fetch(t, url+"/metrics", "")
			diff = cmp.Diff(expected, families(page), cmpopts.IgnoreUnexported(measure{}), cmpopts.EquateEmpty())
			return diff == ""
		})
	}
	for _, p := range []*process{ingest, projector} {
		p.signal(syscall.SIGTERM)
		if code := p.end(); code != 0 {
			t.Errorf("exit code %d after SIGTERM\n%s", code, p.errors())
		}
	}
}
