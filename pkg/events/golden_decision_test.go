package events_test

import (
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
)

// decisionVector is a decision and the message that it becomes.
type decisionVector struct {
	Why       string              `json:"why"`
	Namespace string              `json:"namespace"`
	Kind      string              `json:"kind"`
	Key       string              `json:"key"`
	CommitID  string              `json:"commitId"`
	Time      string              `json:"time"`
	Cause     string              `json:"cause,omitempty"`
	By        string              `json:"by,omitempty"`
	Previous  uint64              `json:"previous"`
	Subject   string              `json:"subject"`
	Headers   map[string][]string `json:"headers"`
	Body      string              `json:"body"`
}

// TestGoldenDecisions holds the form of decisions, as TestGoldenVectors holds that
// of events.
func TestGoldenDecisions(t *testing.T) {
	at := time.Date(2026, 11, 27, 22, 5, 19, 123_456_789, time.UTC)
	var got []decisionVector
	for _, v := range []struct {
		why      string
		d        events.Decision
		previous uint64
	}{
		{"a search attribute that somebody registered", events.Decision{
			Topic: events.Topic{Namespace: "default", Kind: "search-attribute", Key: "CustomerId"}, CommitID: "d1", Time: at,
			By: "annals search-attribute add", Content: []byte(`{"type":"Keyword"}`),
		}, 0},
		{"the same by the first value that was seen", events.Decision{
			Topic: events.Topic{Namespace: "default", Kind: "search-attribute", Key: "Amount"}, CommitID: "d2", Time: at.Truncate(time.Second),
			Cause: events.Position{Partition: 3, Sequence: 1042}, By: "projector", Content: []byte(`{"type":"Double"}`),
		}, 0},
		{"awkward names, behind another decision", events.Decision{
			Topic: events.Topic{Namespace: "größer.als", Kind: "of-a-later-version", Key: "a b.*>%"}, CommitID: "ä %", Time: at,
			Content: []byte(`{}`),
		}, 17},
	} {
		if err := v.d.Validate(); err != nil {
			t.Fatalf("%s: %v", v.why, err)
		}
		m := events.Message{
			Position: events.Position{Partition: -2, Sequence: v.previous + 5}, Subject: v.d.Topic.Subject(),
			Header: events.EncodeDecision(&v.d, v.previous), Body: v.d.Content,
		}
		s, err := events.DecodeDecision(m)
		if err != nil {
			t.Fatalf("%s: %v", v.why, err)
		}
		v.d.Time = events.DecisionTime(v.d.Time)
		if diff := cmp.Diff(events.StoredDecision{Decision: v.d, Sequence: v.previous + 5, Previous: v.previous}, s); diff != "" {
			t.Errorf("%s (-written +read):\n%s", v.why, diff)
		}
		g := decisionVector{
			Why: v.why, Namespace: v.d.Topic.Namespace, Kind: v.d.Topic.Kind, Key: v.d.Topic.Key, CommitID: string(v.d.CommitID),
			Time: v.d.Time.Format(time.RFC3339Nano), By: v.d.By, Previous: v.previous, Subject: m.Subject, Headers: m.Header, Body: string(m.Body),
		}
		if v.d.Cause != (events.Position{}) {
			g.Cause = v.d.Cause.String()
		}
		got = append(got, g)
	}
	sameVectors(t, "decisions.json", got, checkDecisionBySpecification)
}

// checkDecisionBySpecification holds a decision against
// docs/adr/0014-control-stream.md, by none of the package's code.
func checkDecisionBySpecification(t *testing.T, v decisionVector) {
	t.Helper()
	one := func(name string) string {
		if len(v.Headers[name]) != 1 {
			t.Fatalf("%s: header %s is %q", v.Why, name, v.Headers[name])
		}
		return v.Headers[name][0]
	}
	plain := func(s string) string {
		out, err := url.PathUnescape(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	want := map[string]string{
		"Annals": "1 decision", "A-Commit": v.CommitID, "A-Time": v.Time,
		"Nats-Expected-Last-Subject-Sequence": strconv.FormatUint(v.Previous, 10),
	}
	if v.Cause != "" {
		want["A-Cause"] = v.Cause
	}
	if v.By != "" {
		want["A-By"] = v.By
	}
	for name, value := range want {
		if got := plain(one(name)); got != value {
			t.Errorf("%s: header %s is %q, want %q", v.Why, name, got, value)
		}
	}
	if len(v.Headers) != len(want) {
		t.Errorf("%s: it has the headers %v", v.Why, v.Headers)
	}
}

// FuzzDecodeDecision: whatever is on the stream is a decision that is written again
// as it stands there, or is none.
func FuzzDecodeDecision(f *testing.F) {
	d := events.Decision{
		Topic: events.Topic{Namespace: "n", Kind: "k", Key: "x"}, CommitID: "c", Time: time.Unix(1, 0), Cause: events.Position{Partition: 1, Sequence: 2}, By: "b", Content: []byte(`{}`),
	}
	h := events.EncodeDecision(&d, 3)
	f.Add(d.Topic.Subject(), h["Annals"][0], h["A-Commit"][0], h["A-Time"][0], h["A-Cause"][0], h["A-By"][0], "3", `{}`)
	f.Add("annals-control.n.k.%2E", "1 decision", "%20", "2026-01-01T00:00:00.000001Z", "0:1", "", "0", `{"a":`)
	f.Fuzz(func(t *testing.T, subject, format, commit, at, cause, by, previous, body string) {
		m := events.Message{
			Position: events.Position{Sequence: 9}, Subject: subject, Body: []byte(body),
			Header: events.Header{
				"Annals": {format}, "A-Commit": {commit}, "A-Time": {at}, "A-Cause": {cause}, "A-By": {by}, "Nats-Expected-Last-Subject-Sequence": {previous},
			},
		}
		s, err := events.DecodeDecision(m)
		if err != nil {
			return
		}
		if got := s.Topic.Subject(); got != subject {
			t.Errorf("the subject %q is written as %q", subject, got)
		}
		if diff := cmp.Diff(m.Header, events.EncodeDecision(&s.Decision, s.Previous)); diff != "" {
			t.Errorf("headers (-read +written):\n%s", diff)
		}
	})
}
