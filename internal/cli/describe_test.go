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

// What people see of pauses, versions, search attributes, what is pending beyond
// activities, and of how far behind an answer is.
func TestDescribeForPeople(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	due := at.Add(time.Hour)
	lost, taken := "refused: no money", "gone"
	var out bytes.Buffer
	a := newApp(Streams{Out: &out, Err: &out})
	err := a.printDescription(pgstore.Description{
		Execution: pgstore.Execution{
			WorkflowID: "w", RunID: "r", StartTime: &at, ExecutionTime: &due, Pause: []byte(`{"time":"2026-11-23T12:00:00Z","identity":"ann","reason":"audit"}`),
			SearchValues: []byte(`{"Amount":7,"Customer":"c-1","Tags":["a","b"]}`), UntypedAttributes: []string{"Unheard"},
			Deployment: "orders", BuildID: "b1", VersioningBehavior: "Pinned", SDKName: "temporal-go", SDKVersion: "1.47.0",
		},
		PendingActivities: []pgstore.PendingActivity{{
			ScheduledEventID: 2, ActivityID: "a", ActivityType: "Charge", Status: "Started", Attempt: 3, MaximumAttempts: 5, LastFailure: &lost, LastFailureCauses: []string{"no money", "account 7"}, CancelRequested: true,
		}},
		PendingNexusOperations:  []pgstore.PendingNexusOperation{{ScheduledEventID: 4, Endpoint: "billing", Service: "invoices", Operation: "issue", Status: "Scheduled", CancelRequested: true, CancelFailure: &taken}},
		PendingUpdates:          []pgstore.PendingUpdate{{EventID: 6, UpdateID: "u", UpdateName: "add", Status: "Accepted", AcceptedTime: &at, Identity: "shop"}},
		PendingExternalRequests: []pgstore.PendingExternalRequest{{InitiatedEventID: 7, Kind: "Cancel", WorkflowID: "other", Namespace: "default", Reason: "late"}},
		AsOf:                    pgstore.AsOf{Position: "3:7", Time: &at},
		Lag:                     &pgstore.AnswerLag{Commits: 2, Seconds: 1.25},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := out.String()
	for _, want := range []string{
		"3:7 of 2026-11-23T12:00:00.000Z, lag 2 commits, 1.2 s\n",
		"first task due ", " 2026-11-23T13:00:00.000Z\n",
		"since 2026-11-23T12:00:00.000Z by ann: audit\n",
		"orders, b1, Pinned, temporal-go 1.47.0\n",
		"  Amount ", "  Customer ", ` ["a","b"]`, "  Unheard ", "(no type yet",
		"attempt 3 of 5 refused: no money: account 7 to be canceled\n",
		"nexus operation ", " invoices/issue ", "at billing not canceled: gone\n",
		"update ", " shop\n", "cancel ", " late ", "to default\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "search attributes  -") {
		t.Errorf("what is a heading looks like a value that is absent:\n%s", got)
	}
}
