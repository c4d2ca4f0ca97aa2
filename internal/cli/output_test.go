package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func TestTable(t *testing.T) {
	var b strings.Builder
	tab := newTable(&b, "name", "when", "note")
	tab.row("first", time.Date(2026, 1, 31, 12, 0, 0, 5e6, time.FixedZone("CET", 3600)), "")
	tab.row("a\x1b[31m\nb\tc", time.Time{}, 7)
	tab.row("last", nil, "x")
	if err := tab.flush(); err != nil {
		t.Fatal(err)
	}
	want := "NAME        WHEN                      NOTE\n" +
		"first       2026-01-31T11:00:00.005Z  -\n" +
		"a [31m b c  -                         7\n" +
		"last        -                         x\n"
	if b.String() != want {
		t.Errorf("printed\n%q, want\n%q", b.String(), want)
	}
}

func TestNumbers(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{grouped(0), "0"},
		{grouped(999), "999"},
		{grouped(1000), "1,000"},
		{grouped(1234567), "1,234,567"},
		{grouped(-1234), "-1,234"},
		{plural(1, "file"), "1 file"},
		{plural(1000, "file"), "1,000 files"},
		{rate(5000, 2*time.Second), "2,500 events/s"},
		{rate(5, 0), "-"},
		{shortList([]string{"a", "b"}), "a, b"},
		{shortList([]string{"a", "b", "c", "d"}), "a, b and 2 more"},
	} {
		if tc.got != tc.want {
			t.Errorf("%q, want %q", tc.got, tc.want)
		}
	}
}

func TestVersionsAreCompared(t *testing.T) {
	for _, tc := range []struct {
		version, least string
		want           bool
	}{
		{"2.12.0", "2.12.0", true},
		{"2.15.2", "2.12.0", true},
		{"2.9.25", "2.12.0", false},
		{"3.0.0", "2.12.0", true},
		{"2.12.0-preview.1", "2.12.0", true},
		{"", "2.12.0", false},
	} {
		if got := atLeast(tc.version, tc.least); got != tc.want {
			t.Errorf("%q is at least %s: %v", tc.version, tc.least, got)
		}
	}
}

func TestAilmentsOfStreams(t *testing.T) {
	stream := func(leader string, peers ...*jetstream.PeerInfo) *jetstream.StreamInfo {
		return &jetstream.StreamInfo{Config: jetstream.StreamConfig{Name: "S", Replicas: 3}, Cluster: &jetstream.ClusterInfo{Leader: leader, Replicas: peers}}
	}
	peer := func(name string, current, offline bool) *jetstream.PeerInfo {
		return &jetstream.PeerInfo{Name: name, Current: current, Offline: offline, Lag: 5}
	}
	for _, tc := range []struct {
		name string
		info *jetstream.StreamInfo
		want string
	}{
		{"healthy", stream("a", peer("b", true, false), peer("c", true, false)), ""},
		{"no leader", stream("", peer("b", true, false), peer("c", true, false)), "S has no leader: start the servers that are down"},
		{"one replica less", stream("a", peer("b", true, false)), "S has 2 of 3 replicas: start the servers that are down, or add one"},
		{
			"offline, and behind", stream("a", peer("b", false, true), peer("c", false, false)),
			"S: replica b is offline: start its server, or look at its log; S: replica c is behind by 5: start its server, or look at its log",
		},
	} {
		if got := strings.Join(ailments(tc.info), "; "); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
