package events_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/annals-io/annals/pkg/events"
)

// heartbeatVector is one heartbeat and the message that it becomes.
type heartbeatVector struct {
	Why       string          `json:"why"`
	Heartbeat vectorHeartbeat `json:"heartbeat"`
	Stored    vectorMessage   `json:"stored"`
}

type vectorHeartbeat struct {
	Namespace   string `json:"namespace"`
	WorkflowID  string `json:"workflowId"`
	RunID       string `json:"runId"`
	ActivityID  string `json:"activityId"`
	Attempt     int32  `json:"attempt"`
	Time        string `json:"time"`
	Details     string `json:"details,omitempty"`     // protobuf Payloads, hexadecimal
	LastFailure string `json:"lastFailure,omitempty"` // protobuf Failure, hexadecimal
	Identity    string `json:"identity,omitempty"`
}

var heartbeatScenario = []struct {
	why string
	h   events.Heartbeat
}{
	{"the first of an activity", events.Heartbeat{
		Activity: events.Activity{Workflow: events.Workflow{Namespace: "default", ID: "order-42"}, RunID: "01932d7e-9f4c-7a10-8000-0000000000aa", ID: "5"},
		Attempt:  1, Time: clock.Add(123456789), Identity: "worker-1@host",
		Details: &commonpb.Payloads{Payloads: []*commonpb.Payload{{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(`{"page":7}`)}}},
	}},
	{"one that takes its place, of the next attempt", events.Heartbeat{
		Activity: events.Activity{Workflow: events.Workflow{Namespace: "default", ID: "order-42"}, RunID: "01932d7e-9f4c-7a10-8000-0000000000aa", ID: "5"},
		Attempt:  2, Time: clock, LastFailure: &failurepb.Failure{Message: "timeout", Source: "GoSDK"},
	}},
	{"another activity, with ids that are awkward", events.Heartbeat{
		Activity: events.Activity{Workflow: events.Workflow{Namespace: "店", ID: "a.b*c>d %\t\x7f"}, RunID: "r 1\r\n", ID: "Überweisung 1/2 %"},
		Attempt:  1, Time: clock.Add(time.Second),
	}},
}

// TestGoldenHeartbeats holds what a heartbeat becomes, to the byte.
func TestGoldenHeartbeats(t *testing.T) {
	var got []heartbeatVector
	last := map[events.Activity]uint64{}
	for i, s := range heartbeatScenario {
		header, body, err := events.EncodeHeartbeat(&s.h, last[s.h.Activity])
		if err != nil {
			t.Fatal(err)
		}
		last[s.h.Activity] = uint64(i) + 1
		v := heartbeatVector{Why: s.why, Heartbeat: vectorHeartbeat{
			Namespace: s.h.Activity.Workflow.Namespace, WorkflowID: s.h.Activity.Workflow.ID, RunID: string(s.h.Activity.RunID), ActivityID: s.h.Activity.ID,
			Attempt: s.h.Attempt, Time: s.h.Time.Format(time.RFC3339Nano), Identity: s.h.Identity,
		}, Stored: vectorMessage{Sequence: uint64(i) + 1, Subject: s.h.Activity.HeartbeatSubject(), Headers: map[string]string{}, Body: hex.EncodeToString(body)}}
		if s.h.Details != nil {
			v.Heartbeat.Details = hexOf(t, s.h.Details)
		}
		if s.h.LastFailure != nil {
			v.Heartbeat.LastFailure = hexOf(t, s.h.LastFailure)
		}
		for name, values := range header {
			v.Stored.Headers[name] = strings.Join(values, "\n")
		}
		got = append(got, v)
	}
	sameVectors(t, "heartbeats.json", got, checkHeartbeatBySpecification)
}

func hexOf(t *testing.T, m proto.Message) string {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

// checkHeartbeatBySpecification reads a vector as docs/adr/0003-wire-format.md
// says, by none of the package's code, and then by the package's.
func checkHeartbeatBySpecification(t *testing.T, v heartbeatVector) {
	t.Helper()
	h := v.Heartbeat
	tokens := strings.Split(v.Stored.Subject, ".")
	sum := sha256.Sum256([]byte(h.RunID + "\x00" + h.ActivityID))
	unescape := func(s string) string {
		out, err := url.PathUnescape(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if len(tokens) != 5 || tokens[0] != "annals-heartbeat" || unescape(tokens[2]) != h.Namespace || unescape(tokens[3]) != h.WorkflowID ||
		tokens[4] != base64.RawURLEncoding.EncodeToString(sum[:16]) {
		t.Errorf("%s: subject is %q", v.Why, v.Stored.Subject)
	}
	headers := v.Stored.Headers
	if headers["Annals"] != "1 heartbeat" || unescape(headers["A-Run"]) != h.RunID || unescape(headers["A-Activity"]) != h.ActivityID || len(headers) != 5 {
		t.Errorf("%s: headers are %q", v.Why, headers)
	}
	body, err := hex.DecodeString(v.Stored.Body)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, h.Time)
	if err != nil {
		t.Fatal(err)
	}
	want := &workflowpb.PendingActivityInfo{
		ActivityId: h.ActivityID, Attempt: h.Attempt, LastHeartbeatTime: timestamppb.New(at.Truncate(time.Microsecond)), LastWorkerIdentity: h.Identity,
	}
	for field, into := range map[string]func([]byte) error{
		h.Details: func(b []byte) error {
			want.HeartbeatDetails = &commonpb.Payloads{}
			return proto.Unmarshal(b, want.HeartbeatDetails)
		},
		h.LastFailure: func(b []byte) error {
			want.LastFailure = &failurepb.Failure{}
			return proto.Unmarshal(b, want.LastFailure)
		},
	} {
		if field == "" {
			continue
		}
		b, err := hex.DecodeString(field)
		if err != nil {
			t.Fatal(err)
		}
		if err := into(b); err != nil {
			t.Fatal(err)
		}
	}
	var stored workflowpb.PendingActivityInfo
	if err := proto.Unmarshal(body, &stored); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &stored, protocmp.Transform()); diff != "" {
		t.Errorf("%s: body (-want +stored):\n%s", v.Why, diff)
	}
	m := events.Message{Position: events.Position{Sequence: v.Stored.Sequence}, Subject: v.Stored.Subject, Header: events.Header{}, Body: body}
	for name, value := range headers {
		m.Header[name] = []string{value}
	}
	decoded, err := events.DecodeHeartbeat(m)
	if err != nil || decoded.Attempt != h.Attempt || decoded.Activity.ID != h.ActivityID || decoded.Sequence != v.Stored.Sequence {
		t.Errorf("%s: decoded as %+v, %v", v.Why, decoded, err)
	}
}

func drawHeartbeat(t *rapid.T) events.Heartbeat {
	id := func(label string, limit int) string {
		return rapid.StringMatching(`[^\x00]{1,40}`).Filter(func(s string) bool { return len(s) <= limit }).Draw(t, label)
	}
	h := events.Heartbeat{
		Activity: events.Activity{Workflow: events.Workflow{Namespace: id("namespace", 255), ID: id("workflow", 1000)}, RunID: events.RunID(id("run", 255)), ID: id("activity", 1000)},
		Attempt:  rapid.Int32Min(1).Draw(t, "attempt"),
		Time:     time.UnixMicro(rapid.Int64Range(-62135596799e6, 253402300799e6).Draw(t, "time")).UTC(),
		Identity: rapid.String().Draw(t, "identity"),
	}
	if rapid.Bool().Draw(t, "details") {
		h.Details = &commonpb.Payloads{Payloads: []*commonpb.Payload{{Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data")}}}
	}
	if rapid.Bool().Draw(t, "failure") {
		h.LastFailure = &failurepb.Failure{Message: rapid.String().Draw(t, "message")}
	}
	return h
}

func TestHeartbeatsAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHeartbeat(t)
		if err := h.Validate(); err != nil {
			t.Fatal(err)
		}
		header, body, err := events.EncodeHeartbeat(&h, 4)
		if err != nil {
			t.Fatal(err)
		}
		got, err := events.DecodeHeartbeat(events.Message{Position: events.Position{Sequence: 7}, Subject: h.Activity.HeartbeatSubject(), Header: header, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(events.StoredHeartbeat{Heartbeat: h, Sequence: 7}, got, protocmp.Transform()); diff != "" {
			t.Errorf("written and read (-written +read):\n%s", diff)
		}
		if !h.Equal(&got.Heartbeat) || h.Newer(&got.Heartbeat) || got.Newer(&h) {
			t.Error("what was read is not equal to what was written")
		}
	})
}

// FuzzDecodeHeartbeat: whatever is stored, DecodeHeartbeat does not panic, and
// what it accepts is written and read the same again.
func FuzzDecodeHeartbeat(f *testing.F) {
	for _, s := range heartbeatScenario {
		header, body, err := events.EncodeHeartbeat(&s.h, 3)
		if err != nil {
			f.Fatal(err)
		}
		h, err := json.Marshal(header)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s.h.Activity.HeartbeatSubject(), uint64(12), h, body)
	}
	f.Fuzz(func(t *testing.T, subject string, seq uint64, header, body []byte) {
		var h events.Header
		if json.Unmarshal(header, &h) != nil {
			return
		}
		got, err := events.DecodeHeartbeat(events.Message{Position: events.Position{Sequence: seq}, Subject: subject, Header: h, Body: body})
		if err != nil {
			var corrupt *events.CorruptHeartbeatError
			if !errors.Is(err, events.ErrCorrupt) || !errors.As(err, &corrupt) || corrupt.Sequence != seq || got.Sequence != seq {
				t.Errorf("error is %v", err)
			}
			return
		}
		if got.Activity.HeartbeatSubject() != subject {
			t.Errorf("subject %q became %q", subject, got.Activity.HeartbeatSubject())
		}
		again, body, err := events.EncodeHeartbeat(&got.Heartbeat, 0)
		if err != nil {
			t.Fatal(err)
		}
		again["Nats-Expected-Last-Subject-Sequence"] = h["Nats-Expected-Last-Subject-Sequence"]
		if diff := cmp.Diff(ours(h), ours(again)); diff != "" {
			t.Errorf("accepted and written again (-accepted +written):\n%s", diff)
		}
		twice, err := events.DecodeHeartbeat(events.Message{Position: events.Position{Sequence: seq}, Subject: subject, Header: again, Body: body})
		if err != nil || !twice.Equal(&got.Heartbeat) {
			t.Errorf("read again: %+v, %v", twice, err)
		}
	})
}
