package embedpg

import (
	"errors"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// copySelf puts the test binary where every user can run it.
func copySelf(t *testing.T) string {
	t.Helper()
	from, err := os.Open(self(t))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(openDir(t), "embedpg.test")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// The server never runs as root, whoever starts it.
func TestWhoTheServerRunsAs(t *testing.T) {
	type start struct {
		name string
		as   *syscall.Credential // nil: ourselves
		want string              // as whom the server is to run
	}
	own := strconv.Itoa(os.Geteuid())
	starts := []start{{"an ordinary user", nil, own}}
	if os.Geteuid() == 0 {
		name := "nobody"
		if _, err := user.Lookup("postgres"); err == nil {
			name = "postgres"
		}
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		starts = []start{
			{"root", nil, name},
			{"an ordinary user", &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}, nobody.Uid},
		}
	}
	program := copySelf(t)
	for _, tt := range starts {
		t.Run(tt.name, func(t *testing.T) {
			h := startHelper(t, program, tt.as, Options{Ephemeral: true}, "HOME=/nonexistent")
			if h.Error != "" {
				t.Fatal(h.Error)
			}
			if h.User != tt.want {
				t.Errorf("the server runs as %s, want %s", h.User, tt.want)
			}
			// Root's own connection passes every socket; the helper's was tried by Start.
			if tt.as == nil {
				connect(t, h.ConnString)
			}
			if err := h.stdin.Close(); err != nil {
				t.Fatal(err)
			}
			if err := h.cmd.Wait(); err != nil {
				t.Errorf("the helper: %v", err)
			}
			if _, err := os.Stat(h.Folder); !os.IsNotExist(err) {
				t.Errorf("%s is still there: %v", h.Folder, err)
			}
		})
	}
}

// Only root can be somebody without a name; for others the error's text is all there is to see.
func TestUserWithoutAName(t *testing.T) {
	const unnamed = 54321
	if os.Geteuid() != 0 {
		if text := (&NoPasswdEntryError{UID: unnamed}).Error(); !strings.Contains(text, "54321") || !strings.Contains(text, "DATABASE_URL") {
			t.Errorf("the error does not say who and what to do: %s", text)
		}
		return
	}
	h := startHelper(t, copySelf(t), &syscall.Credential{Uid: unnamed, Gid: unnamed}, Options{Ephemeral: true}, "HOME=/nonexistent")
	if h.ErrorType != "*embedpg.NoPasswdEntryError" {
		t.Errorf("got %q (%s), want a NoPasswdEntryError", h.ErrorType, h.Error)
	}
	if !strings.Contains(h.Error, "54321") || !strings.Contains(h.Error, "DATABASE_URL") {
		t.Errorf("the error does not say who and what to do: %s", h.Error)
	}
}

func TestReachNamesTheFolderInTheWay(t *testing.T) {
	base := openDir(t)
	shut := filepath.Join(base, "open", "shut")
	if err := os.MkdirAll(shut, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shut, 0o750); err != nil {
		t.Fatal(err)
	}
	other := identity{name: "other", uid: uint32(os.Geteuid()) + 1, gid: uint32(os.Getegid()) + 1, dropped: true}
	group := identity{name: "group", uid: uint32(os.Geteuid()) + 1, gid: uint32(os.Getegid()), dropped: true}
	for _, tt := range []struct {
		name string
		id   identity
		path string
		want string
	}{
		{"everybody may pass", other, filepath.Join(base, "open", "x"), ""},
		{"the last folder itself need not be entered", other, shut, ""},
		{"others may not", other, filepath.Join(shut, "x"), shut},
		{"nor further below, where nothing is yet", other, filepath.Join(shut, "a", "b"), shut},
		{"the group may", group, filepath.Join(shut, "x"), ""},
		{"a user who stays himself finds out by trying", identity{uid: other.uid}, filepath.Join(shut, "x"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.id.reach(tt.path)
			var blocked *UnreachableError
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
			} else if !errors.As(err, &blocked) || blocked.Blocked != tt.want {
				t.Errorf("got %v, want to be blocked at %s", err, tt.want)
			}
		})
	}
}

func TestDataFolderThatCannotBeReached(t *testing.T) {
	if os.Geteuid() != 0 {
		// As ourselves: a folder that may not be written.
		shut := filepath.Join(t.TempDir(), "shut")
		if err := os.Mkdir(shut, 0o500); err != nil {
			t.Fatal(err)
		}
		if _, err := Start(within(t), Options{DataDir: filepath.Join(shut, "pg")}); !errors.Is(err, os.ErrPermission) {
			t.Errorf("got %v, want a permission error", err)
		}
		return
	}
	shut := t.TempDir() // below a folder of mode 0700
	_, err := Start(within(t), Options{DataDir: filepath.Join(shut, "pg")})
	var blocked *UnreachableError
	if !errors.As(err, &blocked) {
		t.Fatalf("got %v, want an UnreachableError", err)
	}
	if !strings.HasPrefix(shut, blocked.Blocked) || !strings.Contains(err.Error(), "chmod o+x") {
		t.Errorf("the error does not name the folder or the remedy: %v", err)
	}
}
