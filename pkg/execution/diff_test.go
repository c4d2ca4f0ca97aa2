package execution

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The changes, put into the JSON of the one state, give the JSON of the other,
// and none of them changes nothing: so they are exactly where the two differ.
func checkDiff(t failer, a, b *State) {
	t.Helper()
	changes, err := Diff(a, b)
	if err != nil {
		t.Fatalf("%v", err)
	}
	before, after := tree(t, a), tree(t, b)
	for _, c := range changes {
		if (c.Before == nil) == (c.After == nil) && bytes.Equal(c.Before, c.After) {
			t.Fatalf("%s is a change from %s to %s", c.Path, c.Before, c.After)
		}
		patch(t, before, c)
	}
	if !reflect.DeepEqual(after, before) {
		t.Fatalf("the changes do not lead from one state to the other (-want +patched):\n%s", cmp.Diff(after, before))
	}
	for _, same := range []*State{a, b} {
		if changes, err := Diff(same, same.Clone()); err != nil || len(changes) != 0 {
			t.Fatalf("a state differs from itself: %v %v", changes, err)
		}
	}
}

func diffText(t failer, s *State) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return string(text)
}

func tree(t failer, s *State) map[string]any {
	t.Helper()
	var v map[string]any
	decode(t, []byte(diffText(t, s)), &v)
	return v
}

func decode(t failer, text []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v", err)
	}
}

// keyOf is by which member the elements of a list of what is pending are named.
var keyOf = map[string]string{
	"activities": "scheduledEventId", "timers": "startedEventId", "children": "initiatedEventId", "nexusOperations": "scheduledEventId",
	"updates": "eventId", "externalSignals": "initiatedEventId", "externalCancels": "initiatedEventId",
}

// patch puts a change into the JSON of a state.
func patch(t failer, object map[string]any, c FieldChange) {
	t.Helper()
	name, rest := c.Path, ""
	if i := strings.IndexAny(name, ".["); i >= 0 {
		name, rest = c.Path[:i], c.Path[i:]
	}
	switch {
	case rest == "":
		object[name] = nil
		set(t, object, name, c)
	case rest[0] == '.':
		patch(t, object[name].(map[string]any), FieldChange{rest[1:], c.Before, c.After})
	case rest[1] == '"':
		key, err := strconv.Unquote(rest[1 : len(rest)-1])
		if err != nil {
			t.Fatalf("%s: %v", c.Path, err)
		}
		set(t, object[name].(map[string]any), key, c)
	default:
		end := strings.IndexByte(rest, ']')
		id := func(v any) int {
			n, err := v.(map[string]any)[keyOf[name]].(json.Number).Int64()
			if err != nil {
				t.Fatalf("%v", err)
			}
			return int(n)
		}
		want, err := strconv.Atoi(rest[1:end])
		if err != nil {
			t.Fatalf("%s: %v", c.Path, err)
		}
		list := object[name].([]any)
		i, found := slices.BinarySearchFunc(list, want, func(v any, want int) int { return id(v) - want })
		switch {
		case rest[end+1:] != "":
			patch(t, list[i].(map[string]any), FieldChange{rest[end+2:], c.Before, c.After})
		case c.After == nil:
			object[name] = slices.Delete(list, i, i+1)
		case found:
			t.Fatalf("%s is there already", c.Path)
		default:
			one := map[string]any{}
			set(t, one, "", c)
			object[name] = slices.Insert(list, i, one[""])
		}
	}
}

func set(t failer, object map[string]any, name string, c FieldChange) {
	t.Helper()
	if c.After == nil {
		delete(object, name)
		return
	}
	var v any
	decode(t, c.After, &v)
	object[name] = v
}

// Between any two prefixes of every history there is: neighbours, those with
// the first event, and those with the last.
func TestDiffOfPrefixes(t *testing.T) {
	for name, history := range histories(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, last := fold(history[0]), fold(history...)
			step := 1 + len(history)/30
			s := New(testWF, testRun)
			for i, e := range history {
				before := s.Clone()
				s.Apply(e)
				if i%step == 0 {
					checkDiff(t, before, s)
					checkDiff(t, first, s)
					checkDiff(t, s, last)
				}
			}
		})
	}
}

// Of drawn histories, whatever is in them, and of states in which every field
// is set. What JSON cannot hold (a time without a calendar in a message) is an
// error of both.
func TestDiffOfAnything(t *testing.T) {
	drawn, compared := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		drawn++
		a, b := fold(drawHistory(t)...), fold(drawHistory(t)...)
		_, errA := json.Marshal(a)
		_, errB := json.Marshal(b)
		if _, err := Diff(a, b); (errA != nil || errB != nil) != (err != nil) {
			t.Fatalf("JSON: %v, %v; diff: %v", errA, errB, err)
		} else if err == nil {
			checkDiff(t, a, b)
			compared++
		}
	})
	if compared*10 < drawn { // about half of them have one
		t.Errorf("only %d of %d pairs of states had a JSON", compared, drawn)
	}
	checkDiff(t, New(testWF, testRun), full())
	checkDiff(t, full(), New(testWF, testRun))
	checkDiff(t, full(), fold(order()...))
}

// Of each event of an order, what it changed beside counts and times.
func TestDiffNamesWhatChanged(t *testing.T) {
	history := order()
	var got []string
	for i := 4; i < len(history); i++ {
		changes, err := Diff(fold(history[:i]...), fold(history[:i+1]...))
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprint(i+1, ":")
		for _, c := range changes {
			if strings.HasPrefix(c.Path, "counts.") || slices.Contains([]string{"updatedAt", "historyLength", "lastEventId"}, c.Path) {
				continue
			}
			line += " " + c.Path
			switch {
			case c.Before == nil:
				line += " new"
			case c.After == nil:
				line += " gone"
			}
		}
		got = append(got, line)
	}
	want := []string{
		"5: activities[5] new",
		"6: timers[6] new",
		"7: children[7] new",
		`8: searchAttributes["Amount"] gone searchAttributes["TemporalChangeVersion"] new changeVersions`,
		"9:",
		"10: children[7].startedEventId children[7].runId children[7].status children[7].startedTime",
		"11: lastFailure lastFailureEventId activities[5].startedEventId activities[5].status activities[5].startedTime" +
			" activities[5].attempt activities[5].lastFailure activities[5].lastWorkerIdentity lastFailureMessages",
		"12: activities[5] gone",
		"13: children[7] gone",
		"14: timers[6] gone",
		"15: status close open",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
