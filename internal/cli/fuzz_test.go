package cli

import "testing"

// FuzzPoint: a point in a history is an event from 1 on, a time, or a wrong
// flag.
func FuzzPoint(f *testing.F) {
	for _, s := range []string{"", "1", "0", "-7", "9223372036854775808", "2026-01-31T12:00:00Z", "0001-01-01T00:00:00Z", "2026-01-31", "+5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := parsePoint("at", s); err != nil && exitCode(err) != exitUsage {
			t.Errorf("%q: %v", s, err)
		}
	})
}
