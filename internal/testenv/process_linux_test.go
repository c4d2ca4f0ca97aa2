package testenv

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// victimEnv makes the test below the one that is killed.
const victimEnv = "ANNALS_TESTENV_VICTIM"

// A test binary that is killed (by a timeout of CI, say) takes its server process with it.
func TestProcessDiesWithTheTestBinary(t *testing.T) {
	if os.Getenv(victimEnv) != "" {
		p := NATSProcess(t, "")
		fmt.Println("victim", p.PID(), p.store.GuardianPID(), p.store.Path)
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), victimEnv+"=yes")
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
	var server, guardian int
	var store string
	for lines := bufio.NewScanner(stdout); store == "" && lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "victim ") {
			if _, err := fmt.Sscanf(lines.Text(), "victim %d %d %s", &server, &guardian, &store); err != nil {
				t.Fatal(err)
			}
		}
	}
	ends := []int{watch(t, server), watch(t, guardian)}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for _, fd := range ends {
		awaitEnd(t, fd)
	}
	if _, err := os.Stat(store); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", store, err)
	}
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

func awaitEnd(t *testing.T, fd int) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("a process has not ended: %v", err)
		}
		return
	}
}
