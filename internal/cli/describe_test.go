package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// What people see of a heartbeat: the attempt that the history does not know of,
// when it was, and its details if they are short texts.
func TestDescribeShowsHeartbeats(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 500e6, time.UTC)
	lost := "lost"
	pending := func(h *pgstore.ActivityHeartbeat) pgstore.PendingActivity {
		return pgstore.PendingActivity{ScheduledEventID: 2, ActivityID: "a", ActivityType: "Charge", Status: "Scheduled", LastHeartbeat: h}
	}
	for _, c := range []struct {
		name string
		h    *pgstore.ActivityHeartbeat
		want string
	}{
		{"none", nil, "-"},
		{"bare", &pgstore.ActivityHeartbeat{Attempt: 1, Time: at}, "heartbeat 2026-11-23T12:00:00.500Z"},
		{
			"whole", &pgstore.ActivityHeartbeat{Attempt: 3, Time: at, LastFailure: &lost, Details: []byte(`{"payloads":[{"data":"eyJwYWdlIjo3fQ=="},{"data":"//4="}]}`)},
			`attempt 3 heartbeat 2026-11-23T12:00:00.500Z after lost {"page":7} 2 bytes`,
		},
		{"long", &pgstore.ActivityHeartbeat{Attempt: 1, Time: at, Details: []byte(`{"payloads":[{"data":"` + strings.Repeat("eHh4", 100) + `"}]}`)}, "heartbeat 2026-11-23T12:00:00.500Z 300 bytes"},
	} {
		var out bytes.Buffer
		a := newApp(Streams{Out: &out, Err: &out})
		if err := a.printDescribedPending(pgstore.Description{PendingActivities: []pgstore.PendingActivity{pending(c.h)}}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(out.String(), "\n")
		if got := lines[2]; !strings.HasSuffix(got, "  "+c.want) {
			t.Errorf("%s: %q, want it to end with %q", c.name, got, c.want)
		}
	}
}
