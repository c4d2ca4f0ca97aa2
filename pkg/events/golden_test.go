package events_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

var update = flag.Bool("update", false, "write testdata/wire anew")

// vector is one append and the message that it becomes.
type vector struct {
	Why     string        `json:"why"`
	Request vectorRequest `json:"request"`
	Stored  vectorMessage `json:"stored"`
	Chain   vectorHashes  `json:"hashes"`
}

// vectorRequest is a request: what it expects is that the workflow ends with
// the vectors before it.
type vectorRequest struct {
	Namespace   string      `json:"namespace"`
	WorkflowID  string      `json:"workflowId"`
	CommitID    string      `json:"commitId"`
	RunID       string      `json:"runId,omitempty"`
	Traceparent string      `json:"traceparent,omitempty"`
	Clock       string      `json:"clock"` // for events without a time
	Base        *vectorBase `json:"base,omitempty"`
	Events      []string    `json:"events"` // protobuf HistoryEvent, hexadecimal
}

// vectorBase is what a request resets.
type vectorBase struct {
	RunID   string `json:"runId"`
	EventID uint64 `json:"eventId"`
}

type vectorMessage struct {
	Sequence uint64            `json:"sequence"`
	Subject  string            `json:"subject"`
	Headers  map[string]string `json:"headers"`
	Body     string            `json:"body"` // hexadecimal
}

// vectorHashes are the digest and the link of the chain, hexadecimal.
type vectorHashes struct {
	Digest   string `json:"digest"`
	Previous string `json:"previous"`
	Chain    string `json:"chain"`
}

var clock = time.Date(2026, 11, 23, 12, 34, 56, 789000000, time.UTC)

func event(kind enumspb.EventType, id int64, at time.Duration) *events.Event {
	e := &events.Event{EventType: kind, EventId: id}
	if at >= 0 {
		e.EventTime = timestamppb.New(clock.Add(at))
	}
	return e
}

func begun(workflowType string, id int64, at time.Duration) *events.Event {
	e := event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, id, at)
	e.Attributes = &historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes{
		WorkflowExecutionStartedEventAttributes: &historypb.WorkflowExecutionStartedEventAttributes{
			WorkflowType: &commonpb.WorkflowType{Name: workflowType},
			Input:        &commonpb.Payloads{Payloads: []*commonpb.Payload{{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(`{"order":7}`)}}},
		},
	}
	return e
}

const (
	given    = time.Second // a time that the request gives
	assigned = -1          // one that the log assigns
)

// scenarios are the appends of each file.
var scenarios = map[string][]struct {
	why string
	r   events.Request
}{
	"ordinary": {
		{"a start, with ids and times", events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: "order-42"}, CommitID: "01932d7e-9f4c-7a10-8000-000000000001", RunID: "01932d7e-9f4c-7a10-8000-0000000000aa",
			Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Events: []*events.Event{begun("Order", 1, given)},
		}},
		{"another workflow, so that sequences have gaps", events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: "order-43"}, CommitID: "01932d7e-9f4c-7a10-8000-000000000002", RunID: "01932d7e-9f4c-7a10-8000-0000000000bb",
			Events: []*events.Event{begun("Order", 1, given)},
		}},
		{"an append, with ids and times that the log assigns", events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: "order-42"}, CommitID: "01932d7e-9f4c-7a10-8000-000000000003", Expect: events.AtEnd(),
			Events: []*events.Event{event(enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, 0, assigned), event(enumspb.EVENT_TYPE_MARKER_RECORDED, 0, assigned)},
		}},
		{"the end", events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: "order-42"}, CommitID: "01932d7e-9f4c-7a10-8000-000000000004", Expect: events.AtEnd(),
			Events: []*events.Event{event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, 4, given)},
		}},
		{"the next run", events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: "order-42"}, CommitID: "01932d7e-9f4c-7a10-8000-000000000005", RunID: "01932d7e-9f4c-7a10-8000-0000000000cc",
			Events: []*events.Event{begun("Refund", 0, assigned)},
		}},
		{"an event of a type that is not known", events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: "order-42"}, CommitID: "01932d7e-9f4c-7a10-8000-000000000006", Expect: events.AtEnd(),
			Events: []*events.Event{event(9999, 2, given)},
		}},
	},
	"two-runs": {
		{"a run that begins and ends, and the next", events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: "twice"}, CommitID: "c1", RunID: "run-2",
			Events: []*events.Event{begun("A", 0, given), event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, 0, given), begun("B", 0, given)},
		}},
		{"continue as new", events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: "twice"}, CommitID: "c2", RunID: "run-3", Expect: events.AtEnd(),
			Events: []*events.Event{event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, 2, given), begun("B", 1, given)},
		}},
		{"terminated, and a run without a type", events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: "twice"}, CommitID: "c3", RunID: "run-4", Expect: events.AtEnd(),
			Events: []*events.Event{event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, 2, given), begun("", 1, given)},
		}},
		{"more of it", events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: "twice"}, CommitID: "c4", Expect: events.AtEnd(),
			Events: []*events.Event{event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED, 2, given)},
		}},
	},
	"resets": {
		{"a run to be reset", events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: "again"}, CommitID: "c1", RunID: "run 1",
			Events: []*events.Event{begun("A", 1, given), event(enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, 2, given), event(enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED, 3, given)},
		}},
		{"reset while it is open, which ends it", events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: "again"}, CommitID: "c2", RunID: "run-2", Expect: events.AtEnd(), Base: &events.Base{Run: "run 1", Event: 2},
			Events: []*events.Event{event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, 4, given), event(enumspb.EVENT_TYPE_MARKER_RECORDED, 0, given)},
		}},
		{"its end", events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: "again"}, CommitID: "c3", Expect: events.AtEnd(),
			Events: []*events.Event{event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, 4, given)},
		}},
		{"a reset of the closed reset, at an event of its base: the base's run is named", events.Request{
			Workflow: events.Workflow{Namespace: "default", ID: "again"}, CommitID: "c4", RunID: "run-3", Base: &events.Base{Run: "run-2", Event: 1},
			Events: []*events.Event{event(enumspb.EVENT_TYPE_MARKER_RECORDED, 2, given)},
		}},
	},
	"awkward-ids": {
		{"what NATS and headers give a meaning", events.Request{
			Workflow: events.Workflow{Namespace: "shop.eu", ID: "a.b*c>d %\t\x7f"}, CommitID: " - 1-2 0>1 %", RunID: "r 1-1 0>1 9\r\n",
			Events: []*events.Event{begun("Order / Überweisung 💸", 1, given)},
		}},
		{"other scripts", events.Request{
			Workflow: events.Workflow{Namespace: "店", ID: "注文-طلب"}, CommitID: "é", RunID: "e\u0301",
			Events: []*events.Event{begun("注文", 1, given)},
		}},
	},
	"many-commits": func() (list []struct {
		why string
		r   events.Request
	},
	) {
		w := events.Workflow{Namespace: "default", ID: "busy"}
		for i := range 11 {
			r := events.Request{Workflow: w, CommitID: events.CommitID(fmt.Sprint("c", i+1)), Expect: events.AtEnd(), Events: []*events.Event{event(enumspb.EVENT_TYPE_MARKER_RECORDED, 0, given)}}
			if i == 0 {
				r.Expect, r.RunID, r.Events = events.NewRun(), "r", []*events.Event{begun("Busy", 0, given)}
			}
			list = append(list, struct {
				why string
				r   events.Request
			}{fmt.Sprintf("commit %d: an envelope names the last 8 before it", i+1), r})
		}
		return list
	}(),
}

// TestGoldenVectors holds the wire format: what an append becomes, to the byte.
// The files are for other implementations, too.
func TestGoldenVectors(t *testing.T) {
	for name, appends := range scenarios {
		t.Run(name, func(t *testing.T) {
			var got []vector
			log, err := memlog.New(memlog.Config{Streams: 1, Now: func() time.Time { return clock }})
			if err != nil {
				t.Fatal(err)
			}
			previous := map[events.Workflow]events.Hash{}
			for _, a := range appends {
				res, err := log.Append(t.Context(), a.r)
				if err != nil {
					t.Fatalf("%s: %v", a.why, err)
				}
				m, err := log.Message(t.Context(), res.Position)
				if err != nil {
					t.Fatal(err)
				}
				c, err := events.Decode(m)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, vectorOf(t, a.why, a.r, m, c, previous[a.r.Workflow]))
				previous[a.r.Workflow] = c.Hash
			}
			sameVectors(t, name+".json", got, checkBySpecification)
		})
	}
}

// sameVectors fails unless the file of golden vectors holds got, and each of its
// vectors passes the check; with -update it writes the file first.
func sameVectors[V any](t *testing.T, file string, got []V, check func(*testing.T, V)) {
	t.Helper()
	path := filepath.Join("testdata", "wire", file)
	if *update {
		writeVectors(t, path, got)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want []V
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the wire format has changed (-file +now):\n%s", diff)
	}
	for _, v := range want {
		check(t, v)
	}
}

func writeVectors(t *testing.T, path string, vectors any) {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(vectors); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func vectorOf(t *testing.T, why string, r events.Request, m events.Message, c *events.Commit, previous events.Hash) vector {
	t.Helper()
	v := vector{
		Why: why,
		Request: vectorRequest{
			Namespace: r.Workflow.Namespace, WorkflowID: r.Workflow.ID, CommitID: string(r.CommitID), RunID: string(r.RunID),
			Traceparent: r.Traceparent, Clock: clock.Format(time.RFC3339Nano),
		},
		Stored: vectorMessage{Sequence: m.Position.Sequence, Subject: m.Subject, Headers: map[string]string{}, Body: hex.EncodeToString(m.Body)},
		Chain:  vectorHashes{Digest: hex.EncodeToString(c.Digest[:]), Previous: hex.EncodeToString(previous[:]), Chain: hex.EncodeToString(c.Hash[:])},
	}
	if r.Base != nil {
		v.Request.Base = &vectorBase{string(r.Base.Run), uint64(r.Base.Event)}
	}
	for _, e := range r.Events {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		v.Request.Events = append(v.Request.Events, hex.EncodeToString(b))
	}
	for name, values := range m.Header {
		v.Stored.Headers[name] = strings.Join(values, "\n")
	}
	return v
}

// checkBySpecification computes digest, chain and body of a vector as
// docs/adr/0003-wire-format.md says, from the vector alone and by none of the
// package's code.
func checkBySpecification(t *testing.T, v vector) {
	t.Helper()
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	unescape := func(s string) string {
		out, err := url.PathUnescape(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	number := func(s string) uint64 {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	text := func(b []byte, s string) []byte { return append(binary.AppendUvarint(b, uint64(len(s))), s...) }

	// The subject.
	tokens := strings.Split(v.Stored.Subject, ".")
	if len(tokens) != 4 || tokens[0] != "annals" || unescape(tokens[2]) != v.Request.Namespace || unescape(tokens[3]) != v.Request.WorkflowID {
		t.Errorf("%s: subject is %q", v.Why, v.Stored.Subject)
	}

	// The digest of the request.
	digested := text(nil, v.Stored.Subject)
	named := v.Request.RunID
	if base := v.Request.Base; base != nil {
		named += "\x00" + base.RunID + "\x00" + strconv.FormatUint(base.EventID, 10)
	}
	digested = text(digested, named)
	for _, e := range v.Request.Events {
		digested = text(digested, string(unhex(e)))
	}
	digest := sha256.Sum256(digested)
	if got := hex.EncodeToString(digest[:12]); got != v.Chain.Digest {
		t.Errorf("%s: the digest by the specification is %s, the vector's %s", v.Why, got, v.Chain.Digest)
	}

	// The chain.
	h := v.Stored.Headers
	segment := func(b []byte, value, workflowType string) []byte {
		f := strings.Split(value, " ")
		first, last, _ := strings.Cut(f[1], "-")
		before, after, _ := strings.Cut(f[2], ">")
		b = text(b, unescape(f[0]))
		b = binary.AppendUvarint(b, number(first))
		b = binary.AppendUvarint(b, number(last))
		b = text(b, unescape(workflowType))
		b = append(b, byte(number(before)), byte(number(after)))
		return binary.AppendUvarint(b, number(f[3]))
	}
	chained := append(unhex(v.Chain.Previous), 1, 1) // format 1, kind events
	chained = text(chained, v.Stored.Subject)
	chained = text(chained, unescape(h["A-Commit"]))
	chained = append(chained, digest[:12]...)
	reset := byte(0)
	base := strings.Split(h["A-Base"], " ")
	if len(base) == 4 {
		reset = 0x80
	}
	if closed, ok := h["A-Closed"]; ok {
		closedType, other := h["A-Closed-Type"]
		if !other {
			closedType = h["A-Type"]
		}
		chained = segment(append(chained, reset|2), closed, closedType)
	} else {
		chained = append(chained, reset|1)
	}
	chained = segment(chained, h["A-Run"], h["A-Type"])
	if reset != 0 {
		chained = text(chained, unescape(base[0]))
		chained = binary.AppendUvarint(chained, number(base[1]))
		hash, err := base64.RawURLEncoding.DecodeString(base[3])
		if err != nil || len(hash) != 16 {
			t.Fatalf("%s: the base's hash is %q", v.Why, base[3])
		}
		chained = append(chained, hash...)
	}
	body := unhex(v.Stored.Body)
	sum := sha256.Sum256(append(chained, body...))
	if got := hex.EncodeToString(sum[:16]); got != v.Chain.Chain {
		t.Errorf("%s: the chain by the specification is %s, the vector's %s", v.Why, got, v.Chain.Chain)
	}
	for name, want := range map[string]string{
		"Annals": "1 events", "A-Chain": base64.RawURLEncoding.EncodeToString(sum[:16]), "A-Digest": base64.RawURLEncoding.EncodeToString(digest[:12]),
	} {
		if h[name] != want {
			t.Errorf("%s: header %s is %q, want %q", v.Why, name, h[name], want)
		}
	}
	expected, _, _ := strings.Cut(h["A-Back"], " ")
	if expected == "" {
		expected = "0"
	}
	if got := h["Nats-Expected-Last-Subject-Sequence"]; got != expected {
		t.Errorf("%s: the expectation is %q, want %q", v.Why, got, expected)
	}

	// The body: the request's events, with the ids and times that they had, or
	// the next id and the clock's time.
	var history historypb.History
	if err := proto.Unmarshal(body, &history); err != nil {
		t.Fatal(err)
	}
	if len(history.Events) != len(v.Request.Events) {
		t.Fatalf("%s: %d events were stored, %d given", v.Why, len(history.Events), len(v.Request.Events))
	}
	for i, stored := range history.Events {
		var want events.Event
		if err := proto.Unmarshal(unhex(v.Request.Events[i]), &want); err != nil {
			t.Fatal(err)
		}
		if want.EventId == 0 {
			want.EventId = stored.EventId
		}
		if want.EventTime == nil {
			want.EventTime = timestamppb.New(clock)
		}
		if !proto.Equal(&want, stored) {
			t.Errorf("%s: event %d was stored as %v, want %v", v.Why, i, stored, &want)
		}
	}
	known := map[string]bool{
		"Annals": true, "A-Commit": true, "A-Run": true, "A-Type": true, "A-Closed": true, "A-Closed-Type": true, "A-Base": true, "A-Back": true,
		"A-Digest": true, "A-Chain": true, "traceparent": true, "Nats-Expected-Last-Subject-Sequence": true,
	}
	for name := range maps.Keys(h) {
		if !known[name] {
			t.Errorf("%s: header %s is not in the specification", v.Why, name)
		}
	}
}
