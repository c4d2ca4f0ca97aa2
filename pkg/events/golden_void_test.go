package events_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// voidVector is a void and the message that it becomes.
type voidVector struct {
	Why        string        `json:"why"`
	Namespace  string        `json:"namespace"`
	WorkflowID string        `json:"workflowId"`
	CommitID   string        `json:"commitId"`
	Reason     string        `json:"reason"`
	Voided     []uint64      `json:"voided"` // sequences
	Stored     vectorMessage `json:"stored"`
	Chain      vectorHashes  `json:"hashes"`
}

// TestGoldenVoids holds the form of voids, as TestGoldenVectors holds that of
// events.
func TestGoldenVoids(t *testing.T) {
	log, err := memlog.New(memlog.Config{Streams: 1, Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	w := events.Workflow{Namespace: "default", ID: "order-42"}
	var got []voidVector
	previous := events.Hash{}
	add := func(id events.CommitID, run events.RunID, list ...*events.Event) {
		t.Helper()
		expect := events.AtEnd()
		if run != "" {
			expect = events.NewRun()
		}
		res, err := log.Append(t.Context(), events.Request{Workflow: w, CommitID: id, RunID: run, Expect: expect, Events: list})
		if err != nil {
			t.Fatal(err)
		}
		previous = res.Cursor.Hash()
	}
	void := func(why string, id events.CommitID, reason string, foreign int) {
		t.Helper()
		v := voidVector{Why: why, Namespace: w.Namespace, WorkflowID: w.ID, CommitID: string(id), Reason: reason}
		for range foreign {
			v.Voided = append(v.Voided, log.Put(0, w.Subject(), nil, []byte("hello")))
		}
		res, err := log.Void(t.Context(), events.VoidRequest{Workflow: w, CommitID: id, Reason: reason})
		if err != nil {
			t.Fatalf("%s: %v", why, err)
		}
		m, err := log.Message(t.Context(), res.Position)
		if err != nil {
			t.Fatal(err)
		}
		c, err := events.Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		v.Stored = vectorOf(t, why, events.Request{}, m, c, previous).Stored
		v.Chain = vectorHashes{Digest: hex.EncodeToString(c.Digest[:]), Previous: hex.EncodeToString(previous[:]), Chain: hex.EncodeToString(c.Hash[:])}
		got = append(got, v)
		previous = c.Hash
	}
	void("of the first message of a workflow, which has no run yet", "v1", "", 1)
	add("c1", "run-1", begun("Order", 1, given))
	void("of two messages in an open run", "v2", "a script wrote past the library", 2)
	add("c2", "", event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, 2, given))
	void("of a message after a close", "v3", "again: größer", 1)
	void("of a message after a void", "v 4", "", 1)

	sameVectors(t, "voids.json", got, checkVoidBySpecification)
}

// checkVoidBySpecification computes a void's digest and chain as
// docs/adr/0003-wire-format.md says, by none of the package's code.
func checkVoidBySpecification(t *testing.T, v voidVector) {
	t.Helper()
	text := func(b []byte, s string) []byte { return append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	number := func(s string) uint64 {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	digest := sha256.Sum256(text(text(text(nil, v.Stored.Subject), "void"), v.Reason))
	chained, err := hex.DecodeString(v.Chain.Previous)
	if err != nil {
		t.Fatal(err)
	}
	h := v.Stored.Headers
	chained = append(chained, 1, 3) // format 1, kind void
	chained = text(chained, v.Stored.Subject)
	chained = text(chained, v.CommitID)
	chained = append(chained, digest[:12]...)
	if run, ok := h["A-Run"]; ok {
		f := strings.Split(run, " ")
		first, last, _ := strings.Cut(f[1], "-")
		before, after, _ := strings.Cut(f[2], ">")
		workflowType, err := url.PathUnescape(h["A-Type"])
		if err != nil {
			t.Fatal(err)
		}
		chained = text(append(chained, 1), f[0])
		chained = binary.AppendUvarint(chained, number(first))
		chained = binary.AppendUvarint(chained, number(last))
		chained = text(chained, workflowType)
		chained = append(chained, byte(number(before)), byte(number(after)))
		chained = binary.AppendUvarint(chained, number(f[3]))
		if number(first) != number(last)+1 || before != after {
			t.Errorf("%s: the run is %q", v.Why, run)
		}
	} else {
		chained = append(chained, 0)
	}
	chained = binary.AppendUvarint(chained, uint64(len(v.Voided)))
	chain := sha256.Sum256(append(chained, v.Reason...))
	for name, want := range map[string]string{
		"Annals": "1 void", "A-Void": strconv.Itoa(len(v.Voided)), "A-Commit": strings.ReplaceAll(v.CommitID, " ", "%20"),
		"Nats-Expected-Last-Subject-Sequence": strconv.FormatUint(v.Voided[len(v.Voided)-1], 10),
		"A-Digest":                            base64.RawURLEncoding.EncodeToString(digest[:12]),
		"A-Chain":                             base64.RawURLEncoding.EncodeToString(chain[:16]),
	} {
		if h[name] != want {
			t.Errorf("%s: header %s is %q, want %q", v.Why, name, h[name], want)
		}
		delete(h, name)
	}
	if v.Stored.Body != hex.EncodeToString([]byte(v.Reason)) {
		t.Errorf("%s: the body is %s, want the reason", v.Why, v.Stored.Body)
	}
	for name := range h {
		if name != "A-Run" && name != "A-Type" && name != "A-Back" {
			t.Errorf("%s: header %s is not in the specification", v.Why, name)
		}
	}
}
