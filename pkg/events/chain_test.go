package events_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/annals-io/annals/pkg/events"
)

// uncovered are the fields of a commit, and of a segment, that the chain must
// not cover: they say where and when the commit lies, which a move or a restore
// changes. Traceparent is for whoever looks at a request, Hash is the chain; Header is
// what the others were read from.
var uncovered = map[string]bool{
	"Commit.Position.Partition": true, "Commit.Position.Sequence": true, "Commit.Time": true, "Commit.Back": true,
	"Commit.Traceparent": true, "Commit.Hash": true, "Commit.Header": true, "Commit.Void.Last": true, "Commit.Base.Sequence": true,
	"Commit.Run.RunFirst": true, "Commit.Run.PrevRunFirst": true, "Commit.Closed.RunFirst": true, "Commit.Closed.PrevRunFirst": true,
}

// TestTheChainCoversEveryField changes each field of a commit, found by
// reflection: a new field is covered, or stands in the list above.
func TestTheChainCoversEveryField(t *testing.T) {
	fresh := func() *events.Commit {
		return &events.Commit{
			Workflow: events.Workflow{Namespace: "n", ID: "w"}, Position: events.Position{Sequence: 20}, Kind: events.KindEvents, ID: "c",
			Back:   []uint64{15, 9},
			Closed: &events.Segment{Run: "q", First: 4, Last: 5, Type: "Payment", Before: 1, After: 6, Size: 99, RunFirst: 9, PrevRunFirst: 3},
			Run:    events.Segment{Run: "r", First: 1, Last: 1, Type: "Order", After: 1, Size: 9, RunFirst: 20, PrevRunFirst: 9},
			Base:   &events.ResetBase{Base: events.Base{Run: "p", Event: 3}, Sequence: 7},
			Void:   &events.Void{Messages: 3, Last: 18},
			Body:   []byte("body"),
		}
	}
	prev := events.Hash{1}
	want := fresh().ChainHash(prev)
	checked := 0
	var walk func(path string, field func(*events.Commit) reflect.Value)
	walk = func(path string, field func(*events.Commit) reflect.Value) {
		v := field(fresh())
		if v.Kind() == reflect.Pointer {
			walk(path, func(c *events.Commit) reflect.Value { return field(c).Elem() })
			return
		}
		if v.Kind() == reflect.Struct && path != "Commit.Time" {
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, func(c *events.Commit) reflect.Value { return field(c).Field(i) })
			}
			return
		}
		c := fresh()
		change(t, path, field(c))
		checked++
		if changed := c.ChainHash(prev) != want; changed == uncovered[path] {
			t.Errorf("%s: the hash changes with it: %t, want %t", path, changed, !uncovered[path])
		}
	}
	walk("Commit", func(c *events.Commit) reflect.Value { return reflect.ValueOf(c).Elem() })
	if checked < 25 {
		t.Errorf("%d fields were changed", checked)
	}
	c := fresh()
	if c.ChainHash(events.Hash{2}) == want {
		t.Error("the hash of the commit before is not covered")
	}
	c.Closed = nil
	if c.ChainHash(prev) == want {
		t.Error("a closed run is not covered")
	}
}

func change(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(v.Uint() + 1)
	case reflect.Array:
		v.Index(v.Len() - 1).SetUint(v.Index(v.Len()-1).Uint() ^ 1)
	case reflect.Slice:
		v.Set(reflect.AppendSlice(v, v))
	case reflect.Map:
		v.Set(reflect.ValueOf(events.Header{"X": {"y"}}))
	case reflect.Struct:
		v.Set(reflect.ValueOf(v.Interface().(time.Time).Add(1)))
	default:
		t.Fatalf("%s is a %s: say here how to change it", path, v.Kind())
	}
}

// TestTheChainTellsCommitsApart: texts that run together the same are not the same.
func TestTheChainTellsCommitsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawCommit(t), drawCommit(t)
		same := a.Workflow == b.Workflow && a.Kind == b.Kind && a.ID == b.ID && a.Digest == b.Digest && slices.Equal(a.Body, b.Body) &&
			chained(a.Closed) == chained(b.Closed) && chained(&a.Run) == chained(&b.Run) &&
			(a.Void == nil || a.Void.Messages == b.Void.Messages) && chainedBase(a.Base) == chainedBase(b.Base)
		if got := a.ChainHash(events.Hash{}) == b.ChainHash(events.Hash{}); got != same {
			t.Fatalf("same hash: %t, same content: %t\n%+v\n%+v", got, same, a, b)
		}
	})
	a := events.Commit{ID: "ab", Run: events.Segment{Run: "c"}}
	b := events.Commit{ID: "a", Run: events.Segment{Run: "bc"}}
	if a.ChainHash(events.Hash{}) == b.ChainHash(events.Hash{}) {
		t.Error("the border between commit id and run is not covered")
	}
}

func chainedBase(b *events.ResetBase) events.ResetBase {
	if b == nil {
		return events.ResetBase{}
	}
	return events.ResetBase{Base: b.Base, Hash: b.Hash}
}

// chained is what the chain covers of a segment.
func chained(s *events.Segment) events.Segment {
	if s == nil {
		return events.Segment{}
	}
	c := *s
	c.RunFirst, c.PrevRunFirst = 0, 0
	return c
}
