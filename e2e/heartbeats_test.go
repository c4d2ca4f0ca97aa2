package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Workers send heartbeats while the log's server and the projector are killed by
// SIGKILL, again and again. What was acknowledged last of each activity is what
// the tables show in the end, and what the log has.
func TestTheNewestHeartbeatsAreKeptWhenServersAreKilled(t *testing.T) {
	t.Parallel()
	const workers, rounds = 4, 3
	e, server := newEnvironment(t)
	p := e.startProjector()
	ingest := e.startIngest()
	client := web(t)

	type worker struct {
		acknowledged int // the last page that was the newest
		err          error
	}
	done := make([]worker, workers)
	answers := make(chan struct{}) // one for each heartbeat that was answered
	stop := make(chan struct{})
	var work sync.WaitGroup
	end := sync.OnceFunc(func() {
		close(stop)
		work.Wait()
	})
	defer end()
	for n := range workers {
		id := fmt.Sprintf("batch-%d", n)
		got := post(client, ingest.url, "LogService/Append", object{
			"workflow": object{"workflowId": id}, "newRun": object{"runId": "r"}, "events": []object{
				{"eventType": "WorkflowExecutionStarted"},
				{"eventType": "ActivityTaskScheduled", "activityTaskScheduledEventAttributes": object{"activityId": "read"}},
			},
		})
		if got.status != http.StatusOK {
			t.Fatalf("start %s: %d %s, %v", id, got.status, got.body, got.err)
		}
		work.Go(func() {
			w := &done[n]
			for page := 1; ; page++ {
				if w.err = heartbeat(client, ingest.url, id, page); w.err != nil {
					return
				}
				w.acknowledged = page
				select {
				case answers <- struct{}{}:
				case <-stop:
					return
				}
			}
		})
	}
	progress := func(n int) {
		t.Helper()
		for range n {
			select {
			case <-answers:
			case <-time.After(patience):
				t.Fatal("no progress")
			}
		}
	}
	for range rounds {
		progress(50)
		p.kill()
		progress(50)
		p.start()
		progress(50)
		server.Kill()
		server.Restart()
	}
	progress(50)
	end()

	// The tables come to have them; verify waits for that.
	if v := parse[verified](t, e.annals(0, "verify", "-o", "json")); v.Rows["activity_heartbeats"] != workers {
		t.Errorf("verify compared rows %v, want those of %d heartbeats", v.Rows, workers)
	}
	for n, w := range done {
		if w.err != nil {
			t.Errorf("worker %d: %v", n, w.err)
			continue
		}
		d := parse[struct {
			PendingActivities []struct {
				LastHeartbeat struct {
					Attempt int
					Details struct{ Payloads []struct{ Data []byte } }
				}
			}
		}](t, e.annals(0, "describe", fmt.Sprintf("batch-%d", n), "-o", "json"))
		var got []string
		for _, a := range d.PendingActivities {
			for _, p := range a.LastHeartbeat.Details.Payloads {
				got = append(got, string(p.Data))
			}
		}
		if diff := cmp.Diff([]string{strconv.Itoa(w.acknowledged)}, got); diff != "" {
			t.Errorf("worker %d, acknowledged (-) and in the tables (+):\n%s", n, diff)
		}
	}
}

// heartbeat sends a heartbeat until it is answered, and fails unless it is the
// newest then.
func heartbeat(client *http.Client, url, workflow string, page int) error {
	request := object{
		"workflow": object{"workflowId": workflow}, "runId": "r", "activityId": "read", "attempt": 1, "identity": "worker",
		"time": time.Date(2026, 1, 1, 0, 0, page, 0, time.UTC).Format(time.RFC3339), "details": []int{page},
	}
	for until := time.Now().Add(patience); ; {
		got := post(client, url, "LogService/RecordHeartbeat", request)
		if got.status == http.StatusServiceUnavailable && time.Now().Before(until) { // send it again, as the API says
			continue
		}
		if got.err != nil {
			return fmt.Errorf("page %d: %w", page, got.err)
		}
		var answer struct{ Newest bool }
		if err := json.Unmarshal(got.body, &answer); err != nil || got.status != http.StatusOK || !answer.Newest {
			return fmt.Errorf("page %d: %d %s", page, got.status, got.body)
		}
		return nil
	}
}
