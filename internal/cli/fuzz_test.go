package cli

import (
	"testing"

	"github.com/annals-io/annals/pkg/events"
)

// FuzzPosition: what a flag is taken for is written and read the same again.
func FuzzPosition(f *testing.F) {
	for _, s := range []string{"0:0", "3:1042", "32767:9223372036854775807", "32768:1", "-1:1", "1", ":", "1:2:3", "+1:1", "01:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePosition(s)
		if err != nil {
			if p != (events.Position{}) {
				t.Errorf("%q gave %s beside %v", s, p, err)
			}
			return
		}
		if again, err := parsePosition(p.String()); err != nil || again != p || p.Partition < 0 {
			t.Errorf("%q is %s, read again %s, %v", s, p, again, err)
		}
	})
}

// FuzzPoint: a point in a history is an event from 1 on, a time, or a wrong
// flag.
func FuzzPoint(f *testing.F) {
	for _, s := range []string{"", "1", "0", "-7", "9223372036854775808", "2026-01-31T12:00:00Z", "0001-01-01T00:00:00Z", "2026-01-31", "+5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := parsePoint(s); err != nil && exitCode(err) != exitUsage {
			t.Errorf("%q: %v", s, err)
		}
	})
}
