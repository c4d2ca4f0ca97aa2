package scratch

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// holderEnv has the helper start a child that holds the folder: a shell that reads the file of this
// name, and then says in the folder that it is done.
const holderEnv = "ANNALS_SCRATCH_HOLDER"

func startHolder(f *Folder) error {
	fifo := os.Getenv(holderEnv)
	if fifo == "" {
		return nil
	}
	cmd := exec.Command("/bin/sh", "-c", `cat "$1"; [ -e "$2/file" ] && echo held > "$3"`, "holder", fifo, f.Path, fifo+".out")
	cmd.ExtraFiles = []*os.File{f.Hold()}
	return cmd.Start()
}

// killedHelper starts a helper, has it report, and kills it.
func killedHelper(t *testing.T, o order, env ...string) report {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	what, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(append(os.Environ(), env...), helperEnv+"="+string(what))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	return r
}

// awaitEnd returns when a process that is not our child has ended.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("process %d has not ended: %v", pid, err)
		}
		return
	}
}

func TestFolderOfAKilledProcess(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	r := killedHelper(t, order{})
	awaitEnd(t, r.Guardian)
	if !gone(t, r.Path) {
		t.Errorf("%s is still there", r.Path)
	}
}

func TestChildHoldsTheFolder(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	r := killedHelper(t, order{}, holderEnv+"="+fifo)
	if gone(t, r.Path) {
		t.Fatal("the folder went with the parent although a child holds it")
	}
	// A start meanwhile must not sweep it: the guardian has the lock.
	newFolder(t, Options{})
	end, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := end.Close(); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, r.Guardian)
	if !gone(t, r.Path) {
		t.Errorf("%s is still there", r.Path)
	}
	if said, err := os.ReadFile(fifo + ".out"); err != nil || string(said) != "held\n" {
		t.Errorf("the child's last look at the folder: %q, %v", said, err)
	}
}

// Where the kernel does not end a child with its parent the guardian interrupts it.
func TestInterrupt(t *testing.T) {
	for _, tt := range []struct {
		name   string
		forget bool
		code   int
	}{
		{"a process that is named", false, 42},
		{"a process that was forgotten", true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			cmd := exec.Command("/bin/sh", "-c", "trap 'exit 42' INT; echo ready; read -r line; exit 0")
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(stdout, make([]byte, len("ready\n"))); err != nil {
				t.Fatal(err)
			}
			r := killedHelper(t, order{Interrupt: cmd.Process.Pid, Forget: tt.forget})
			awaitEnd(t, r.Guardian)
			if err := stdin.Close(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
		})
	}
}
