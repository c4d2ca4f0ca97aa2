package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/annals-io/annals/internal/ingest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// Every query takes the vectors of appends, joined by commas, and refuses those of
// another log at once: they would be waited for in vain.
func TestQueriesTakeVectors(t *testing.T) {
	t.Parallel()
	log := newMemlog(t, memlog.Config{})
	tables := newTables(t, newPool(t))
	project(t, log, tables)
	service := serve(t, ingest.Config{Log: log, Tables: tables})
	var vectors []string
	for i := range 3 {
		appended := service.post(t, "LogService/Append", fmt.Sprintf(`{"workflow": {"workflowId": "w%d"}, "newRun": {}, "events": [
			{"eventType": "WorkflowExecutionStarted", "workflowExecutionStartedEventAttributes": {"workflowType": {"name": "T"}, "taskQueue": {"name": "q"}}}]}`, i)).ok(t)
		v, err := events.ParseVector(appended["vector"].(string))
		if id, epoch, ok := v.Bound(); err != nil || !ok || id != log.Identity().LogID || epoch != log.Identity().Epoch || fmt.Sprint(v.Positions()[0]) != appended["position"] {
			t.Fatalf("an append gave %v: %v", appended, err)
		}
		vectors = append(vectors, v.String())
	}
	all := strings.Join(vectors, ",")
	if got := service.post(t, "QueryService/CountExecutions", fmt.Sprintf(`{"waitFor": %q, "waitTimeout": "60s"}`, all)).ok(t); got["count"] != "3" {
		t.Errorf("counted %v", got)
	}
	if got := service.post(t, "QueryService/ListExecutions", fmt.Sprintf(`{"waitFor": %q, "waitTimeout": "60s"}`, all)).ok(t); len(got["executions"].([]any)) != 3 {
		t.Errorf("listed %v", got)
	}
	service.post(t, "QueryService/DescribeExecution", fmt.Sprintf(`{"workflow": {"workflowId": "w2"}, "waitFor": %q, "waitTimeout": "60s"}`, vectors[2])).ok(t)

	began := time.Now()
	for _, call := range []string{"Describe", "List", "Count"} {
		for _, other := range []string{
			fmt.Sprintf("0:1@%s/%d", log.Identity().LogID, log.Identity().Epoch+1), "0:1@another/1", vectors[0] + ",0:1@another/1", "@another/1",
		} {
			suffix := map[bool]string{true: "s"}[call != "Describe"]
			body := fmt.Sprintf(`{"waitFor": %q, "waitTimeout": "60s"}`, other)
			if call == "Describe" {
				body = fmt.Sprintf(`{"workflow": {"workflowId": "w0"}, "waitFor": %q, "waitTimeout": "60s"}`, other)
			}
			if e := service.post(t, "QueryService/"+call+"Execution"+suffix, body).fault(t, nil); e.Code != "failed_precondition" || !strings.Contains(e.Message, "wrong log") {
				t.Errorf("%s of %s gave %+v", call, other, e)
			}
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("they were waited for: %s", took)
	}
	// Without time the tables are looked at once.
	if e := service.post(t, "QueryService/CountExecutions", `{"waitFor": "0:999", "waitTimeout": "0s"}`).fault(t, nil); e.Code != "deadline_exceeded" || !strings.Contains(e.Message, "0:999 wanted") {
		t.Errorf("without time: %+v", e)
	}
}

// Tables that are made from another log are no answer, whatever their checkpoints
// say.
func TestTablesOfAnotherLog(t *testing.T) {
	t.Parallel()
	tables := newTables(t, newPool(t))
	theirs := newMemlog(t, memlog.Config{})
	if _, err := tables.Checkpoint(t.Context(), theirs.Identity(), 0); err != nil {
		t.Fatal(err)
	}
	service := serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{}), Tables: tables})
	for _, wait := range []string{"0:1", "now"} {
		if e := service.post(t, "QueryService/CountExecutions", fmt.Sprintf(`{"waitFor": %q, "waitTimeout": "60s"}`, wait)).fault(t, nil); e.Code != "failed_precondition" || !strings.Contains(e.Message, "another log") {
			t.Errorf("waiting for %s gave %+v", wait, e)
		}
	}
}

// One more than may wait is refused by name.
func TestTooManyWaits(t *testing.T) {
	t.Parallel()
	tables, err := pgstore.New(newPool(t), pgstore.Config{MaxWaits: 1})
	if err != nil {
		t.Fatal(err)
	}
	service := serve(t, ingest.Config{Log: newMemlog(t, memlog.Config{}), Tables: tables})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for range 2 {
		go func() { ended <- tables.WaitFor(ctx, events.VectorOf(events.Position{Sequence: 1})) }()
	}
	if err := <-ended; !errors.Is(err, projection.ErrTooManyWaits) { // the other one waits
		t.Fatal(err)
	}
	if e := service.post(t, "QueryService/CountExecutions", `{"waitFor": "0:1", "waitTimeout": "60s"}`).fault(t, nil); e.Code != "resource_exhausted" || e.Details[0].Type != "annals.v1.LimitExceeded" {
		t.Errorf("one too many gave %+v", e)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// What is quarantined is not passed off as included: describing it is refused, and
// lists and counts name it.
func TestAnswersThatLackWhatIsQuarantined(t *testing.T) {
	t.Parallel()
	log := newMemlog(t, memlog.Config{})
	tables := newTables(t, newPool(t))
	project(t, log, tables)
	service := serve(t, ingest.Config{Log: log, Tables: tables})
	first := service.post(t, "LogService/Append", `{"workflow": {"workflowId": "w"}, "newRun": {}, "events": [
		{"eventType": "WorkflowExecutionStarted", "workflowExecutionStartedEventAttributes": {"workflowType": {"name": "T"}, "taskQueue": {"name": "q"}}}]}`).ok(t)
	w := events.Workflow{Namespace: "default", ID: "w"}
	p := log.Identity().Map.Partition(w.Slot())
	bad := events.Position{Partition: p, Sequence: log.Put(p, w.Subject(), nil, []byte("hello"))}

	wait := fmt.Sprintf(`"waitFor": "%s", "waitTimeout": "60s"`, bad)
	e := service.post(t, "QueryService/DescribeExecution", `{"workflow": {"workflowId": "w"}, `+wait+`}`).fault(t, nil)
	if e.Code != "failed_precondition" || e.Details[0].Type != "annals.v1.Quarantined" || !strings.Contains(e.Message, "quarantined since "+bad.String()) {
		t.Errorf("describe: %+v", e)
	}
	service.post(t, "QueryService/DescribeExecution", fmt.Sprintf(`{"workflow": {"workflowId": "w"}, "waitFor": %q}`, first["vector"])).ok(t)
	for _, call := range []string{"ListExecutions", "CountExecutions"} {
		answer := service.post(t, "QueryService/"+call, `{`+wait+`}`).ok(t)
		l, _ := answer["lacking"].(map[string]any)
		if l == nil || l["total"] != "1" || l["workflows"].([]any)[0].(map[string]any)["workflowId"] != "w" {
			t.Errorf("%s: %v", call, answer)
		}
		if answer := service.post(t, "QueryService/"+call, fmt.Sprintf(`{"waitFor": %q}`, first["vector"])).ok(t); answer["lacking"] != nil {
			t.Errorf("%s of what is there: %v", call, answer)
		}
	}
}
