package embednats

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestStartConfigured(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "c.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	store := strconv.Quote(filepath.Join(dir, "store"))
	good := "host: 127.0.0.1, port: -1, max_payload: 2MiB\njetstream { store_dir: " + store + ", sync_interval: always }\n"
	write(good)
	s, err := StartConfigured(within(t), conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if got := connectTo(t, s).MaxPayload(); got != 2<<20 || !s.SyncAlways() {
		t.Errorf("max payload %d, syncs always: %v; the file says 2 MiB and always", got, s.SyncAlways())
	}
	if other, err := StartConfigured(within(t), conf, nil); !errors.Is(err, ErrInUse) {
		t.Errorf("a second server on one folder: %v, %v; want ErrInUse", other, err)
	}
	fixed := strings.NewReplacer("-1", strconv.Itoa(s.Port()), "/store", "/store2").Replace(good)
	write(fixed)
	if other, err := StartConfigured(within(t), conf, nil); !errors.Is(err, ErrPortTaken) {
		t.Errorf("a second server on one port: %v, %v; want ErrPortTaken", other, err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}

	for _, tt := range []struct{ name, text, want string }{
		{"no JetStream", "port: -1\n", "JetStream"},
		{"no folder", "port: -1\njetstream: enabled\n", "store_dir"},
		{"a word unknown", good + "max_payloads: 1\n", "max_payloads"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			write(tt.text)
			if s, err := StartConfigured(within(t), conf, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v, want an error about %s", s, err, tt.want)
			}
		})
	}
}
