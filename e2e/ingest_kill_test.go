package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
)

// ingestKills is how often an ingest is killed in the middle of appends.
const ingestKills = 4

// pair is two instances of ingest, of which one is killed from time to time.
type pair struct {
	mu   sync.Mutex // guards both
	both [2]*service
}

func (p *pair) url(i int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.both[i%2].url
}

// appender does what the documentation tells a client to do: what has no
// answer is sent again as it was, through the other instance; what is said to be
// unknown is sent again with the expectation.
type appender struct {
	client   *http.Client
	pair     *pair
	at       int           // the instance that it goes to
	cut      *atomic.Int64 // appends whose connection was cut
	existed  *atomic.Int64 // appends that had been stored without an answer
	answered *atomic.Int64
}

func (a *appender) append(request object) (runID string, last string, err error) {
	for until := time.Now().Add(patience); time.Now().Before(until); {
		got := post(a.client, a.pair.url(a.at), "LogService/Append", request)
		if got.err != nil {
			if !errors.Is(got.err, syscall.ECONNREFUSED) {
				a.cut.Add(1)
			}
			a.at++
			continue
		}
		if token := got.unknownOutcome(); token != "" {
			for _, expect := range []string{"newRun", "after", "atEnd"} {
				delete(request, expect)
			}
			request["expectation"] = token
			a.at++
			continue
		}
		var answer struct {
			RunID, LastEventID, CommitID string
			Existed                      bool
		}
		if err := json.Unmarshal(got.body, &answer); err != nil || got.status != http.StatusOK {
			return "", "", fmt.Errorf("%v: %d %s", request, got.status, got.body)
		}
		if answer.CommitID != request["commitId"] {
			return "", "", fmt.Errorf("%v is answered for another commit: %s", request, got.body)
		}
		if answer.Existed {
			a.existed.Add(1)
		}
		a.answered.Add(1)
		return answer.RunID, answer.LastEventID, nil
	}
	return "", "", fmt.Errorf("%v was not settled in %v", request, patience)
}

// Two instances serve; one is killed by SIGKILL in the middle of appends, again
// and again, while clients go on through the other. What was acknowledged is
// there, once, and in order.
func TestNothingIsLostOrDoubledWhenIngestIsKilled(t *testing.T) {
	t.Parallel()
	const writers = 8
	e, _ := newEnvironment(t)
	e.startProjector()
	instances := &pair{both: [2]*service{e.startIngest(), e.startIngest()}}
	var cut, existed, answered atomic.Int64
	client := web(t)
	writing := make(chan struct{}) // closed when writers are to come to their end

	type written struct {
		own, shared []string // names of signals, as acknowledged
		err         error
	}
	results := make([]written, writers)
	signal := func(name string) []object {
		return []object{{"eventType": "WorkflowExecutionSignaled", "workflowExecutionSignaledEventAttributes": object{"signalName": name}}}
	}
	start := func(a *appender, id string) (string, string, error) {
		return a.append(object{
			"workflow": object{"workflowId": id}, "newRun": object{}, "commitId": "start-" + id, "events": []object{{"eventType": "WorkflowExecutionStarted"}},
		})
	}
	first := &appender{client: client, pair: instances, cut: &cut, existed: &existed, answered: &answered}
	if _, _, err := start(first, "shared"); err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	for n := range writers {
		work.Go(func() {
			a, r, id := *first, &results[n], fmt.Sprintf("own-%d", n)
			var run, last string
			if run, last, r.err = start(&a, id); r.err != nil {
				return
			}
			for i := 0; ; i++ {
				select {
				case <-writing:
					return
				default:
				}
				name := fmt.Sprintf("%d/%d", n, i)
				// Exactly after what it has seen: a lost or doubled one is a conflict.
				if run, last, r.err = a.append(object{
					"workflow": object{"workflowId": id}, "after": object{"runId": run, "eventId": last}, "commitId": name, "events": signal(name),
				}); r.err != nil {
					return
				}
				r.own = append(r.own, name)
				if _, _, r.err = a.append(object{
					"workflow": object{"workflowId": "shared"}, "atEnd": object{}, "commitId": name, "events": signal(name),
				}); r.err != nil {
					return
				}
				r.shared = append(r.shared, name)
				a.at = n + i // back to either
			}
		})
	}

	// progress waits for so many more answers.
	progress := func(more int64) {
		for until, goal := time.Now().Add(patience), answered.Load()+more; answered.Load() < goal; {
			if time.Now().After(until) {
				t.Error("no progress")
				return
			}
			// What is waited for is an answer of another process: one of the writers' own calls.
			if got := post(client, instances.url(1), "LogService/GetHistory", object{"workflow": object{"workflowId": "shared"}, "limit": 1}); got.status != http.StatusOK {
				t.Errorf("the instance that lives: %d %s, %v", got.status, got.body, got.err)
				return
			}
		}
	}
	for round := range ingestKills {
		progress(40)
		before := cut.Load()
		instances.both[0].kill()
		progress(20)
		if cut.Load() == before {
			t.Logf("round %d: no call was under way", round)
		}
		s := e.startIngest()
		instances.mu.Lock()
		instances.both[0] = s
		instances.mu.Unlock()
	}
	progress(40)
	close(writing)
	work.Wait()
	t.Logf("%d appends answered, %d cut off, %d of them had been stored", answered.Load(), cut.Load(), existed.Load())
	if cut.Load() == 0 {
		t.Error("nobody was cut off: this shows nothing")
	}

	log := e.log(t)
	names := func(id string) (names []string) {
		for ev, err := range log.Read(t.Context(), events.Workflow{Namespace: "default", ID: id}, events.ReadOptions{From: 2}) {
			if err != nil {
				t.Fatalf("%s: %v", id, err)
			}
			names = append(names, ev.GetWorkflowExecutionSignaledEventAttributes().GetSignalName())
		}
		return names
	}
	shared := map[string]int{}
	for _, name := range names("shared") {
		shared[name]++
	}
	want := map[string]int{}
	total := writers + 1
	for n, r := range results {
		if r.err != nil {
			t.Errorf("writer %d: %v", n, r.err)
		}
		if diff := cmp.Diff(r.own, names(fmt.Sprintf("own-%d", n))); diff != "" {
			t.Errorf("writer %d, acknowledged (-) and stored (+):\n%s", n, diff)
		}
		for _, name := range r.shared {
			want[name] = 1
		}
		total += len(r.own) + len(r.shared)
	}
	if diff := cmp.Diff(want, shared); diff != "" {
		t.Errorf("how often each signal is in the shared workflow, acknowledged (-) and stored (+):\n%s", diff)
	}
	if v := parse[verified](t, e.annals(0, "verify", "-o", "json")); v.Events != int64(total) || v.Rows["events"] != int64(total) {
		t.Errorf("verify counts %d events and %d rows, %d were acknowledged", v.Events, v.Rows["events"], total)
	}
}
