package importer_test

import (
	"testing"
	"time"

	"github.com/annals-io/annals/internal/importer"
)

// A list that is long to make is asked for less often, and one that waited for a
// server which was away all night is asked for again within a minute.
func TestHowOftenTheListIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ every, took, want time.Duration }{
		{time.Second, 10 * time.Millisecond, time.Second},
		{time.Second, 5 * time.Second, 15 * time.Second},
		{time.Second, 8 * time.Hour, time.Minute},
		{time.Hour, 8 * time.Hour, time.Hour},
	} {
		if got := importer.Pause(importer.FollowConfig{Every: c.every}, c.took); got != c.want {
			t.Errorf("each %s, after %s: %s, want %s", c.every, c.took, got, c.want)
		}
	}
}
