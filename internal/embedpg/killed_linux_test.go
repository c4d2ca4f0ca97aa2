package embedpg

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// kill ends a helper by SIGKILL and returns when it is gone.
func (h *helper) kill(t *testing.T) {
	t.Helper()
	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = h.cmd.Wait()
}

// watch opens a descriptor that becomes readable when the process has ended.
func watch(t *testing.T, pid int) int {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("process %d: %v", pid, err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func awaitEnd(t *testing.T, what string, fd int) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("%s has not ended: %v", what, err)
		}
		return
	}
}

// Nothing is left behind when the parent is killed: no server, no folder, and a data folder that was
// shut down in order.
func TestParentIsKilled(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts func(t *testing.T) Options
	}{
		{"ephemeral", func(*testing.T) Options { return Options{Ephemeral: true} }},
		{"with a data folder", func(t *testing.T) Options { return Options{DataDir: filepath.Join(openDir(t), "pg")} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := tt.opts(t)
			h := startHelper(t, self(t), nil, o)
			if h.Error != "" {
				t.Fatal(h.Error)
			}
			conn := connect(t, h.ConnString)
			if _, err := conn.Exec(within(t), "CREATE TABLE kept AS SELECT 42 AS n"); err != nil {
				t.Fatal(err)
			}
			postgres, guardian := watch(t, h.PostgresPID), watch(t, h.GuardianPID)
			h.kill(t)
			awaitEnd(t, "postgres", postgres)
			awaitEnd(t, "the guardian", guardian)
			if _, err := os.Stat(h.Folder); !os.IsNotExist(err) {
				t.Errorf("%s is still there: %v", h.Folder, err)
			}
			if o.DataDir == "" {
				return
			}
			if _, err := os.Stat(filepath.Join(o.DataDir, "data", "postmaster.pid")); !os.IsNotExist(err) {
				t.Errorf("the server was not shut down in order: %v", err)
			}
		})
	}
}

// The next start need not wait for anything: it does so itself.
func TestStartRightAfterTheParentIsKilled(t *testing.T) {
	o := Options{DataDir: filepath.Join(openDir(t), "pg")}
	h := startHelper(t, self(t), nil, o)
	if h.Error != "" {
		t.Fatal(h.Error)
	}
	if _, err := connect(t, h.ConnString).Exec(within(t), "CREATE TABLE kept AS SELECT 42 AS n"); err != nil {
		t.Fatal(err)
	}
	h.kill(t)
	s := start(t, o)
	var n int
	if err := connect(t, s.ConnString("postgres")).QueryRow(within(t), "SELECT n FROM kept").Scan(&n); err != nil || n != 42 {
		t.Errorf("read %d, %v", n, err)
	}
}
