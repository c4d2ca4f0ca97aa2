package backup_test

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
)

// The form of a record is a promise: docs/adr/0011-backup.md has it.
func TestTheFormOfARecord(t *testing.T) {
	t.Parallel()
	m := events.Message{
		Position: events.Position{Sequence: 258}, Time: time.Unix(1, 5).UTC(), Subject: "s.1",
		Header: events.Header{"B": {"2"}, "A": {"1", ""}}, Body: []byte{0, 255},
	}
	record, err := backup.AppendRecord(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	const want = "30000000" + "0201000000000000" + "05ca9a3b00000000" + "0300" + "732e31" + "0300" +
		"0100" + "41" + "01000000" + "31" + "0100" + "41" + "00000000" + "0100" + "42" + "01000000" + "32" + "00ff"
	if got := hex.EncodeToString(record); got != want {
		t.Errorf("the record is\n%s, want\n%s", got, want)
	}
	got, err := backup.DecodeRecord(record[4:])
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(m, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// What is read is written as the same bytes again, or refused.
func FuzzRecord(f *testing.F) {
	for _, m := range []events.Message{
		{},
		{Subject: "annals.1.a.b", Header: events.Header{"A": {"1", "2"}}, Body: []byte("body")},
	} {
		record, err := backup.AppendRecord(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(record[4:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := backup.DecodeRecord(b)
		if err != nil {
			return
		}
		again, err := backup.AppendRecord(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(b, again[4:]); d != "" {
			t.Errorf("(-read +written):\n%s", d)
		}
	})
}
