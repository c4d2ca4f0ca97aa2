package cli_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/bench/bulk"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events/backup"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/replay"
)

// killedAfter runs a program and kills it when it has run so long, if it has not
// ended before. It reports whether it was killed.
func killedAfter(t *testing.T, bin, dir string, env []string, d time.Duration, args ...string) bool {
	t.Helper()
	p := start(t, bin, dir, env, args...)
	kill := time.AfterFunc(d, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	return p.end() != 0
}

// A backup that is killed at any moment leaves the backup of before, a restore
// that is killed goes on, and the log that comes of it is the one that was backed up.
func TestBackupAndRestoreAreKilled(t *testing.T) {
	t.Parallel()
	bin, dir := install(t), t.TempDir()
	nc := testenv.NATS(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natslog.Create(t.Context(), js, natslog.CreateOptions{Streams: 4}); err != nil {
		t.Fatal(err)
	}
	log, err := natslog.Open(t.Context(), js, natslog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := bulk.Write(t.Context(), log, 1, 2000, 4); err != nil {
		t.Fatal(err)
	}
	env, folder := []string{"NATS_URL=" + testenv.URL(nc)}, filepath.Join(dir, "backup")
	killed, began := 0, time.Now()
	if _, stderr, code := run(t, bin, dir, env, "annals", "log", "backup", filepath.Join(dir, "whole")); code != 0 {
		t.Fatal(stderr)
	}
	took := time.Since(began)
	for i := range 8 {
		if killedAfter(t, bin, dir, env, took*time.Duration(i+1)/9, "annals", "log", "backup", folder) {
			killed++
		}
		f, err := backup.Open(folder)
		if err == nil {
			err = f.Check(t.Context())
		}
		if err != nil && !errors.Is(err, backup.ErrNone) {
			t.Fatalf("after kill %d: %v", i, err)
		}
	}
	if _, stderr, code := run(t, bin, dir, env, "annals", "log", "backup", folder); code != 0 {
		t.Fatal(stderr)
	}

	restores, began := 0, time.Now()
	if _, stderr, code := run(t, bin, dir, []string{"NATS_URL=" + testenv.NATSURL(t)}, "annals", "log", "restore", folder); code != 0 {
		t.Fatal(stderr)
	}
	took = time.Since(began)
	url := ""
	for i := 0; restores == 0 && i < 30; i++ { // until one is killed in the middle
		url = testenv.NATSURL(t)
		env = []string{"NATS_URL=" + url}
		if killedAfter(t, bin, dir, env, took*time.Duration(i%7+2)/9, "annals", "log", "restore", folder) && there(t, url) {
			restores++
		}
	}
	for i := range 4 {
		if !killedAfter(t, bin, dir, env, took*time.Duration(i+2)/9, "annals", "log", "restore", folder, "--resume") {
			break
		}
		restores++
	}
	to := testenv.Connect(t, url)
	toJS, err := jetstream.New(to)
	if err != nil {
		t.Fatal(err)
	}
	again, err := natslog.Open(t.Context(), toJS, natslog.Config{})
	if err != nil {
		// The last request of one that was killed may have been on its way still,
		// and completed the log since.
		_, stderr, code := run(t, bin, dir, env, "annals", "log", "restore", folder, "--resume")
		if again, err = natslog.Open(t.Context(), toJS, natslog.Config{}); err != nil || code != 0 && !strings.Contains(stderr, "nothing to resume") {
			t.Fatal(err, stderr)
		}
	}
	t.Logf("the backup was killed %d times, the restore in the middle %d times", killed, restores)
	if killed == 0 || restores == 0 {
		t.Error("nothing was killed")
	}
	want, err := replay.VerifyLog(t.Context(), log, replay.VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := replay.VerifyLog(t.Context(), again, replay.VerifyOptions{})
	if err != nil || len(got.Differences) > 0 || got.Commits != want.Commits || got.Events != want.Events || got.Runs != want.Runs {
		t.Errorf("restored %+v of %+v: %v", got, want, err)
	}
}

// there reports whether a restore has begun: a stream that holds something.
func there(t *testing.T, url string) bool {
	t.Helper()
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	some := false
	list := js.ListStreams(t.Context())
	for info := range list.Info() {
		some = some || info.State.Msgs > 0
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return some
}
