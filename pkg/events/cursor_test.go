package events_test

import (
	"crypto/sha256"
	"encoding"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/annals-io/annals/pkg/events"
)

var identity = events.Identity{LogID: "0190a1b2-0000-7000-8000-000000000001", Epoch: 3, Format: events.Format}

func text(t interface{ Fatal(...any) }, v encoding.TextMarshaler) string {
	b, err := v.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCursorsGoThroughText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCommit(t)
		want := c.Cursor(identity)
		var got events.Cursor
		if err := got.UnmarshalText([]byte(text(t, want))); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(events.Cursor{})); diff != "" {
			t.Fatalf("cursor (-want +got):\n%s", diff)
		}
		if got.Workflow() != c.Workflow || got.Run() != c.Run.Run || got.LastEventID() != c.Run.Last || got.Position() != c.Position ||
			got.Status() != c.Run.After || got.WorkflowType() != c.Run.Type || got.Size() != c.Run.Size || got.Hash() != c.Hash ||
			got.RunFirst() != c.Run.RunFirst || got.PrevRunFirst() != c.Run.PrevRunFirst || got.Back()[0] != c.Position.Sequence {
			t.Fatalf("cursor %+v of commit %+v", got, c)
		}
		if err := got.Of(identity); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCursorsOfOtherLogsAreRefused(t *testing.T) {
	c := events.Commit{Position: events.Position{Sequence: 1}}
	for what, id := range map[string]events.Identity{"log id": {LogID: "other", Epoch: identity.Epoch}, "epoch": {LogID: identity.LogID, Epoch: identity.Epoch + 1}} {
		var wrong *events.WrongLogError
		if err := c.Cursor(identity).Of(id); !errors.Is(err, events.ErrWrongLog) || !errors.As(err, &wrong) || wrong.What != what {
			t.Errorf("another %s gave %v", what, err)
		}
	}
}

func drawExpectation(t *rapid.T) events.Expectation {
	cursor := func(label string) events.Cursor {
		if rapid.Bool().Draw(t, label) {
			return drawCommit(t).Cursor(identity)
		}
		return events.Cursor{}
	}
	run := events.RunID(drawID(t, "expected run", events.MaxRunIDBytes))
	e := rapid.SampledFrom([]events.Expectation{
		events.NewRun(), events.NewWorkflow(), events.After(cursor("after a commit")), events.AfterEvent(run, 7), events.AtEnd(), events.AtEndOf(run),
	}).Draw(t, "expectation")
	if rapid.Bool().Draw(t, "attempted") {
		e = e.WithAttempt(events.Attempt{
			After: cursor("attempted after a commit"), Run: run,
			Time: rapid.SampledFrom([]time.Time{{}, time.Unix(0, 0), time.Unix(-62135596800, 0), time.Date(2262, 4, 12, 0, 0, 0, 1, time.UTC), time.Unix(253402300799, 999999999)}).Draw(t, "time").UTC(),
		})
	}
	return e
}

func TestExpectationsGoThroughText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawExpectation(t)
		var got events.Expectation
		if err := got.UnmarshalText([]byte(text(t, want))); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(events.Expectation{}, events.Cursor{})); diff != "" {
			t.Fatalf("expectation (-want +got):\n%s", diff)
		}
	})
}

func TestTheZeroExpectationIsANewRun(t *testing.T) {
	if e := (events.Expectation{}); !e.IsNewRun() || text(t, e) != text(t, events.NewRun()) {
		t.Errorf("the zero expectation is %s", e)
	}
	for _, e := range []events.Expectation{events.NewWorkflow(), events.After(events.Cursor{}), events.AfterEvent("r", 1), events.AtEnd(), events.AtEndOf("r")} {
		if e.IsNewRun() {
			t.Errorf("%s is taken for a new run", e)
		}
	}
}

// FuzzTokens: no bytes make a token that is not written the same again, even
// with a right checksum, which is no secret.
func FuzzTokens(f *testing.F) {
	c := events.Commit{
		Workflow: events.Workflow{Namespace: "n", ID: "w"}, Position: events.Position{Partition: 3, Sequence: 20}, Kind: events.KindEvents, ID: "c",
		Back: []uint64{15, 9}, Run: events.Segment{Run: "r", First: 4, Last: 5, Type: "Order", Before: 1, After: 1, Size: 99, RunFirst: 9, PrevRunFirst: 3},
	}
	cursor := c.Cursor(identity)
	for _, v := range []encoding.TextMarshaler{
		cursor,
		events.Cursor{},
		events.NewRun(), events.After(cursor), events.AtEndOf("r"), events.AfterEvent("r", 3),
		events.AtEnd().WithAttempt(events.Attempt{After: cursor, Time: time.Unix(1, 2), Run: "s"}),
	} {
		b, err := base64.RawURLEncoding.DecodeString(text(f, v))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		token := base64.RawURLEncoding.EncodeToString(append(body[:len(body):len(body)], sum[:4]...))
		var cursor events.Cursor
		if err := cursor.UnmarshalText([]byte(token)); err == nil {
			if got := text(t, cursor); got != token {
				t.Errorf("cursor %q is written %q", token, got)
			}
			_ = cursor.String()
		} else if !errors.Is(err, events.ErrInvalid) {
			t.Errorf("error is %v", err)
		}
		var expect events.Expectation
		if err := expect.UnmarshalText([]byte(token)); err == nil {
			if got := text(t, expect); got != token {
				t.Errorf("expectation %q is written %q", token, got)
			}
			_ = expect.String()
		} else if !errors.Is(err, events.ErrInvalid) {
			t.Errorf("error is %v", err)
		}
	})
}
