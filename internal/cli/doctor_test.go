package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/embednats"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// The doctor's least max_payload is the one that a log needs to be opened, and a
// restore to be begun.
func TestDoctorAndLogAgreeOnMaxPayload(t *testing.T) {
	nc, dirOfBackup := testenv.NATS(t), t.TempDir()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natslog.Create(t.Context(), js, natslog.CreateOptions{Streams: 2}); err != nil {
		t.Fatal(err)
	}
	log, err := natslog.Open(t.Context(), js, natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Backup(t.Context(), dirOfBackup, backup.Options{}); err != nil {
		t.Fatal(err)
	}
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
		var said bytes.Buffer
		restored := Annals(t.Context(), []string{"log", "restore", dirOfBackup, "--nats-url", s.ClientURL()}, Streams{Out: io.Discard, Err: &said}) == exitDone
		if restored == problem || problem && !strings.Contains(said.String(), "max_payload") {
			t.Errorf("max_payload %d: restored: %v, %s", payload, restored, said.String())
		}
		if refused != problem {
			t.Errorf("max_payload %d: opening the log was refused for it: %v", payload, refused)
		}
	}
	if atLeast("2.15.1", minNATS) || !atLeast("2.15.2", minNATS) {
		t.Errorf("the oldest NATS is %s, and README says 2.15.2", minNATS)
	}
}
