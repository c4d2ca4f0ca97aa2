package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/annals-io/annals/internal/embednats"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// The doctor's least max_payload is the one that a log needs to be opened.
func TestDoctorAndLogAgreeOnMaxPayload(t *testing.T) {
	need := natslog.NeedPayload(events.Limits{})
	for payload, problem := range map[int64]bool{need - 1: true, need: false} {
		dir := t.TempDir()
		conf := filepath.Join(dir, "nats.conf")
		text := fmt.Sprintf("host: 127.0.0.1, port: -1, max_payload: %d\njetstream { store_dir: %q }\n", payload, filepath.Join(dir, "store"))
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := embednats.StartConfigured(t.Context(), conf, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
		x := &examination{app: newApp(Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}), now: time.Now}
		x.servers.NATSURL = s.ClientURL()
		_ = x.nats(t.Context())
		x.close()
		refused := false
		for _, f := range x.found {
			switch f.Name {
			case "max_payload":
				if (f.Problem != "") != problem {
					t.Errorf("max_payload %d: the doctor says %q", payload, f.Problem)
				}
			case "log":
				refused = strings.Contains(f.Problem, "max_payload")
			case "nats":
				if f.Problem != "" {
					t.Errorf("the server of the tests: %s", f.Problem)
				}
			}
		}
		if refused != problem {
			t.Errorf("max_payload %d: opening the log was refused for it: %v", payload, refused)
		}
	}
	if atLeast("2.15.1", minNATS) || !atLeast("2.15.2", minNATS) {
		t.Errorf("the oldest NATS is %s, and README says 2.15.2", minNATS)
	}
}
