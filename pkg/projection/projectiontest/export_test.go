package projectiontest

import "testing"

// Check runs the suite's cases up to the first that finds something, and gives
// its name, and what it is; "begin" where not even that went well.
func Check(t *testing.T, s Subject) (name string, err error) {
	t.Helper()
	p, err := begin(t, s)
	if err != nil {
		return "begin", err
	}
	for _, c := range cases {
		if err := p.in(t, c); err != nil {
			return c.name, err
		}
	}
	return "", nil
}
