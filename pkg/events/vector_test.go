package events_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/annals-io/annals/pkg/events"
)

// drawVector draws vectors of few partitions, so that two of them meet, of one
// log or of none.
func drawVector(t *rapid.T, label string) events.Vector {
	var positions []events.Position
	for range rapid.IntRange(0, 5).Draw(t, label+": positions") {
		positions = append(positions, events.Position{
			Partition: events.Partition(rapid.SampledFrom([]int{0, 1, 2, 1023}).Draw(t, label+": partition")),
			Sequence:  rapid.SampledFrom([]uint64{0, 1, 2, 9, 10, math.MaxInt64}).Draw(t, label+": sequence"),
		})
	}
	v := events.VectorOf(positions...)
	if rapid.Bool().Draw(t, label+": bound") {
		return bound(t, v, identity)
	}
	return v
}

func bound(t interface{ Fatal(...any) }, v events.Vector, id events.Identity) events.Vector {
	v, err := v.Bind(id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func merged(t interface{ Fatal(...any) }, a, b events.Vector) events.Vector {
	v, err := a.Merge(b)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestMergingVectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawVector(t, "a"), drawVector(t, "b"), drawVector(t, "c")
		before := a.String()
		for _, same := range []struct {
			what      string
			one, same events.Vector
		}{
			{"associative", merged(t, merged(t, a, b), c), merged(t, a, merged(t, b, c))},
			{"commutative", merged(t, a, b), merged(t, b, a)},
			{"idempotent", merged(t, a, a), a},
			{"neutral", merged(t, a, events.Vector{}), a},
			{"absorbing", merged(t, merged(t, a, b), b), merged(t, a, b)},
			{"that of positions", merged(t, a, events.VectorOf(b.Positions()...)), a.With(b.Positions()...)},
		} {
			if !same.one.Equal(same.same) || same.one.String() != same.same.String() {
				t.Errorf("merging is not %s: %s and %s", same.what, same.one, same.same)
			}
		}
		if a.String() != before {
			t.Errorf("merging changed %s to %s", before, a)
		}
		both := merged(t, a, b)
		for p := range events.Partition(events.Slots) {
			if both.At(p) != max(a.At(p), b.At(p)) {
				t.Errorf("partition %d of %s and %s is at %d in %s", p, a, b, both.At(p), both)
			}
		}
	})
}

// The least vector that covers both is their merge.
func TestCoveringVectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawVector(t, "a"), drawVector(t, "b")
		both := merged(t, a, b)
		if !both.Covers(a) || !both.Covers(b) || !a.Covers(events.Vector{}) {
			t.Errorf("%s does not cover what it was made of", both)
		}
		if c := drawVector(t, "c"); c.Covers(a) && c.Covers(b) && !c.Covers(both) {
			t.Errorf("%s covers %s and %s, and not both", c, a, b)
		}
		for _, p := range a.Beyond(b) {
			if p.Sequence != a.At(p.Partition) || p.Sequence <= b.At(p.Partition) {
				t.Errorf("%s is beyond %s with %s", a, b, p)
			}
		}
		if !b.With(a.Beyond(b)...).Covers(a) {
			t.Errorf("%s with what %s has beyond does not cover it", b, a)
		}
	})
}

func TestVectorsGoThroughText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawVector(t, "a"), drawVector(t, "b")
		got, err := events.ParseVector(a.String())
		if err != nil || !got.Equal(a) {
			t.Errorf("%q was read as %s: %v", a, got, err)
		}
		if a.String() == "" || b.String() == "" {
			return
		}
		if got, err := events.ParseVector(a.String() + "," + b.String()); err != nil || !got.Equal(merged(t, a, b)) {
			t.Errorf("%q and %q joined were read as %s: %v", a, b, got, err)
		}
	})
}

func TestTextsOfVectors(t *testing.T) {
	long := strings.Repeat("1", 65)
	for _, tt := range []struct {
		text, want, fault string
	}{
		{"", "", ""},
		{"3:1042", "3:1042", ""},
		{"3:1042,0:7,3:9", "0:7,3:1042", ""},
		{"0:0", "", ""},
		{"1023:9223372036854775807", "1023:9223372036854775807", ""},
		{"0:7@log/4294967295", "0:7@log/4294967295", ""},
		{"0:7@log/1,2:1,3:1@log/1", "0:7,2:1,3:1@log/1", ""},
		{"@log/1", "@log/1", ""},
		{"now", "", `holds "now", which is no position`},
		{"1", "", `holds "1", which is no position`},
		{"0:1,", "", `holds "", which is no position`},
		{" 0:1", "", "no position"},
		{"+1:1", "", "no position"},
		{"-1:1", "", "no position"},
		{"01:1", "", "no position"},
		{"0:01", "", "no position"},
		{"0:1:2", "", "no position"},
		{"1024:1", "", "no position"},
		{"0:9223372036854775808", "", "no position"},
		{"0:1@", "", "what follows the @ is no log id and epoch"},
		{"0:1@log", "", "what follows the @ is no log id and epoch"},
		{"0:1@/1", "", "what follows the @ is no log id and epoch"},
		{"0:1@" + long + "/1", "", "what follows the @ is no log id and epoch"},
		{"0:1@a b/1", "", "what follows the @ is no log id"},
		{"0:1@a@b/1", "", "what follows the @ is no log id"},
		{"0:1@log/01", "", "its epoch is no number"},
		{"0:1@log/4294967296", "", "its epoch is more than 4294967295"},
		{strings.Repeat("0:1,", events.MaxVectorBytes/4) + "0:1", "", "at most 65536 are allowed"},
	} {
		v, err := events.ParseVector(tt.text)
		if tt.fault == "" {
			if err != nil || v.String() != tt.want {
				t.Errorf("%q was read as %q: %v", tt.text, v, err)
			}
			continue
		}
		var invalid *events.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "vector" || !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%.100q gave %v, want: %s", tt.text, err, tt.fault)
		}
	}
}

func TestTextsOfPositions(t *testing.T) {
	for text, fault := range map[string]string{
		"3:1042": "", "0:0": "",
		"3":                      `invalid position: is "3": want a partition and a sequence like 3:1042`,
		"1024:1":                 `invalid position: is "1024:1": its partition is more than 1023`,
		"0:9223372036854775808":  `invalid position: is "0:9223372036854775808": its sequence is more than 9223372036854775807`,
		"0:99999999999999999999": `invalid position: is "0:99999999999999999999": its sequence is more than 9223372036854775807`,
		"x:1":                    `invalid position: is "x:1": its partition is no number`,
		"0:":                     `invalid position: is "0:": its sequence is no number`,
	} {
		p, err := events.ParsePosition(text)
		switch {
		case fault == "" && (err != nil || p.String() != text):
			t.Errorf("%q was read as %s: %v", text, p, err)
		case fault != "" && (!errors.Is(err, events.ErrInvalid) || err.Error() != fault):
			t.Errorf("%q gave %v\nwant %s", text, err, fault)
		}
	}
}

// A vector of another log, or of before a restore, is refused wherever it would
// be compared.
func TestVectorsOfOtherLogsAreRefused(t *testing.T) {
	mine := bound(t, events.VectorOf(events.Position{Partition: 1, Sequence: 5}), identity)
	for what, id := range map[string]events.Identity{
		"log id": {LogID: "other", Epoch: identity.Epoch}, "epoch": {LogID: identity.LogID, Epoch: identity.Epoch + 1},
	} {
		theirs := bound(t, events.VectorOf(events.Position{Partition: 1, Sequence: 9}), id)
		_, merge := mine.Merge(theirs)
		_, bind := mine.Bind(id)
		_, parse := events.ParseVector(mine.String() + "," + theirs.String())
		for op, err := range map[string]error{"Merge": merge, "Bind": bind, "Of": mine.Of(id), "ParseVector": parse} {
			var wrong *events.WrongLogError
			if !errors.As(err, &wrong) || !errors.Is(err, events.ErrWrongLog) || wrong.What != what {
				t.Errorf("%s with another %s gave %v", op, what, err)
			}
		}
		if theirs.Covers(mine) || theirs.Equal(mine) {
			t.Errorf("%s covers %s", theirs, mine)
		}
	}
	if err := mine.Of(identity); err != nil {
		t.Error(err)
	}
	if err := events.VectorOf(events.Position{Sequence: 1}).Of(identity); err != nil {
		t.Errorf("one that is bound to none: %v", err)
	}
}

func TestTheZeroVector(t *testing.T) {
	var v events.Vector
	if !v.IsZero() || v.At(0) != 0 || v.String() != "" || len(v.Positions()) != 0 || !v.Covers(v) || v.Of(identity) != nil || v.Within(0) != nil {
		t.Errorf("the zero vector is %q", v)
	}
	if _, _, ok := v.Bound(); ok {
		t.Error("the zero vector is bound")
	}
	if p := (events.Position{Partition: 2, Sequence: 3}); v.Covers(events.VectorOf(p)) || v.With(p).At(2) != 3 {
		t.Error("the zero vector has something")
	}
	var read events.Vector
	if err := read.UnmarshalText([]byte(text(t, v))); err != nil || !read.Equal(v) {
		t.Errorf("read as %s: %v", read, err)
	}
}

func TestVectorsWithinALog(t *testing.T) {
	v := events.VectorOf(events.Position{Partition: 0, Sequence: 1}, events.Position{Partition: 3, Sequence: 1})
	if err := v.Within(4); err != nil {
		t.Error(err)
	}
	if err := v.Within(3); err == nil || err.Error() != "invalid vector: holds 3:1, and the log has partitions 0 to 2" {
		t.Errorf("gave %v", err)
	}
}

// What an append gives is bound to its log.
func TestAnAppendsVector(t *testing.T) {
	c := events.Commit{Position: events.Position{Partition: 3, Sequence: 20}}
	r := events.Result{Cursor: c.Cursor(identity)}
	want := bound(t, events.VectorOf(c.Position), identity)
	if diff := cmp.Diff(want, r.Vector()); diff != "" {
		t.Error(diff)
	}
	if got := (events.Result{}).Vector(); !got.Equal(events.Vector{}) {
		t.Errorf("nothing appended is %s", got)
	}
}

// FuzzVector: whatever is read is written again as one text, which is read as
// the same; everything else is refused by name.
func FuzzVector(f *testing.F) {
	for _, s := range []string{"", "3:1042", "0:12,3:1042@" + identity.LogID + "/3", "@log/1", "0:1,0:2", "0:1@a/1,1:1@b/1", "now", "1023:9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := events.ParseVector(s)
		if err != nil {
			if !errors.Is(err, events.ErrInvalid) && !errors.Is(err, events.ErrWrongLog) {
				t.Errorf("%q gave %v", s, err)
			}
			return
		}
		again, err := events.ParseVector(v.String())
		if err != nil || !again.Equal(v) || again.String() != v.String() || len(v.String()) > len(s) {
			t.Errorf("%q was read as %s, and that as %s: %v", s, v, again, err)
		}
		if !again.Covers(v) || v.Within(events.Slots) != nil {
			t.Errorf("%q was read as %s", s, v)
		}
	})
}

// FuzzPosition: what is taken for a position is written the same.
func FuzzPosition(f *testing.F) {
	for _, s := range []string{"0:0", "3:1042", "1023:9223372036854775807", "1024:1", "-1:1", "1", ":", "1:2:3", "+1:1", "01:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := events.ParsePosition(s)
		if err != nil {
			if p != (events.Position{}) || !errors.Is(err, events.ErrInvalid) {
				t.Errorf("%q gave %s beside %v", s, p, err)
			}
			return
		}
		if p.String() != s || p.Partition < 0 || p.Partition >= events.Slots {
			t.Errorf("%q is %s", s, p)
		}
	})
}
