package readme

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var commands = flag.Bool("commands", false, "run the commands that README.md shows, go test ./... among them")

// A comment on the line before a ```sh block says how the block is run, as it
// stands there:
//
//	<!-- ci -->                to its end, which must be a good one
//	<!-- ci: until TEXT -->    until it has printed a line that begins with TEXT;
//	                           then annals is interrupted and must end well
//	<!-- ci: with dev -->      to its end, beside an annals dev that all blocks of
//	                           this kind share, with its variables exported
//
// A block finds what those before it have exported, as in one terminal.
//
//	<!-- ci: output -->        is no command: the block before it must have printed
//	                           these lines, in this order, perhaps with others
//	                           between them, and perhaps other numbers, times and ids
//	<!-- ci: output but WORD… -->  the same, but for lines that begin with one of
//	                           the words: they are another each time
type block struct {
	line     int // of README.md
	language string
	text     string
	marked   bool
	how      string // "", "until", "with dev" or "output"
	until    string
	but      []string
}

var marker = regexp.MustCompile(`^<!-- ci(?:: (.*))? -->$`)

// parse finds the fenced blocks of a document, and refuses a mark that is none or
// that no block follows.
func parse(text string) (found []block, err error) {
	var open *block
	var mark *block
	for i, line := range strings.Split(text, "\n") {
		switch m := marker.FindStringSubmatch(line); {
		case open != nil && line == "```":
			found = append(found, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		case strings.HasPrefix(line, "```"):
			open = &block{}
			if mark != nil {
				open, mark = mark, nil
			}
			open.line, open.language = i+1, strings.TrimPrefix(line, "```")
			if open.marked && open.how != "output" && open.language != "sh" {
				return nil, fmt.Errorf("line %d: a block that is run is sh, not %q", i+1, open.language)
			}
		case mark != nil:
			return nil, fmt.Errorf("line %d: a block is to follow the mark", i+1)
		case m != nil:
			mark = &block{marked: true, how: m[1]}
			if until, ok := strings.CutPrefix(m[1], "until "); ok {
				mark.how, mark.until = "until", until
			}
			if words, ok := strings.CutPrefix(m[1], "output but "); ok {
				mark.how, mark.but = "output", strings.Fields(words)
			}
			switch mark.how {
			case "", "until", "with dev", "output":
			default:
				return nil, fmt.Errorf("line %d: %q is no way to run a block", i+1, m[1])
			}
		}
	}
	if open != nil || mark != nil {
		return nil, errors.New("the last block or mark has no end")
	}
	return found, nil
}

// TestCommands runs what README.md shows, if asked to; it always holds the marks
// to their form.
func TestCommands(t *testing.T) {
	text, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	all, err := parse(string(text))
	if err != nil {
		t.Fatalf("README.md: %v", err)
	}
	var run []block
	tested := false
	for _, b := range all {
		if !b.marked {
			continue
		}
		run = append(run, b)
		tested = tested || b.text == "go test ./...\n" && b.how == ""
	}
	if !tested {
		t.Error("README.md has no block of its own for go test ./..., or it is not run")
	}
	if !*commands {
		return
	}
	terminal := &terminal{t: t, env: os.Environ()}
	printed := ""
	for _, b := range run {
		if b.how == "output" {
			if missing := lacks(printed, b.text, b.but...); missing != "" {
				t.Errorf("README.md, line %d: %q was not printed, or not there, by what is before it:\n%s", b.line, missing, printed)
			}
			continue
		}
		t.Logf("README.md, line %d:\n%s", b.line, b.text)
		began := time.Now()
		if printed, err = terminal.run(b); err != nil {
			t.Fatalf("README.md, line %d: %v\n%s", b.line, err, printed)
		}
		t.Logf("took %s, and printed:\n%s", time.Since(began).Round(time.Millisecond), printed)
	}
}

// terminal is where a reader pastes block after block.
type terminal struct {
	t   *testing.T
	env []string
	dev bool // an annals dev runs in another one
}

// run gives what the block printed, on both streams.
func (m *terminal) run(b block) (string, error) {
	if b.how == "with dev" && !m.dev {
		m.env, m.dev = append(m.env, startDev(m.t, m.env)...), true
	}
	exported := filepath.Join(m.t.TempDir(), "exported")
	c := exec.Command("bash", "-euo", "pipefail", "-c", b.text+"env -0 >"+exported)
	c.Dir, c.Env = root, m.env
	if b.how == "until" {
		return runUntil(m.t, c, b.until)
	}
	out, err := c.CombinedOutput()
	if err != nil {
		return string(out), err
	}
	env, err := os.ReadFile(exported)
	m.env = strings.Split(strings.TrimSuffix(string(env), "\x00"), "\x00")
	return string(out), err
}

// runUntil interrupts annals once a line begins with text.
func runUntil(t *testing.T, c *exec.Cmd, text string) (string, error) {
	seen := &watcher{text: text, found: make(chan struct{})}
	c.Stdout, c.Stderr = seen, seen
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
	select {
	case <-seen.found:
	case err := <-ended:
		return seen.String(), fmt.Errorf("ended before it printed %q: %w", text, err)
	case <-time.After(2 * time.Minute):
		return seen.String(), fmt.Errorf("did not print %q within two minutes", text)
	}
	if err := interrupt(c.Process.Pid); err != nil {
		return seen.String(), err
	}
	select {
	case err := <-ended:
		return seen.String(), err
	case <-time.After(time.Minute):
		return seen.String(), errors.New("did not end within a minute of being interrupted")
	}
}

// interrupt asks the program annals of a group of processes to end, and not go
// run, which ends with 1 when it is interrupted itself.
func interrupt(group int) error {
	out, err := exec.Command("pkill", "-INT", "-g", fmt.Sprint(group), "-x", "annals").CombinedOutput()
	if err != nil {
		return fmt.Errorf("interrupt annals: %w %s", err, out)
	}
	return nil
}

// startDev starts an annals dev until the test ends, and gives what it says is to
// be exported.
func startDev(t *testing.T, env []string) (exports []string) {
	t.Helper()
	c := exec.Command("bash", "-c", "exec annals dev --ephemeral")
	c.Dir, c.Env = root, env
	var logs bytes.Buffer
	seen := &watcher{text: "export ANNALS_URL", found: make(chan struct{})}
	c.Stdout, c.Stderr = seen, &logs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		if err := <-ended; err != nil {
			t.Errorf("annals dev: %v\n%s", err, logs.String())
		}
	})
	select {
	case <-seen.found:
	case err := <-ended:
		ended <- err
		t.Fatal("annals dev has ended")
	case <-time.After(2 * time.Minute):
		t.Fatal("annals dev is not ready after two minutes")
	}
	for _, m := range regexp.MustCompile(`(?m)^export (\w+)='(.*)'$`).FindAllStringSubmatch(seen.String(), -1) {
		exports = append(exports, m[1]+"="+m[2])
	}
	return exports
}

// watcher keeps what is written and tells when a whole line begins with a text.
type watcher struct {
	text  string
	found chan struct{} // closed then

	mu   sync.Mutex
	all  bytes.Buffer
	done bool
}

var _ io.Writer = (*watcher)(nil)

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all.Write(p)
	if !w.done && regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(w.text)+`.*\n`).Match(w.all.Bytes()) {
		w.done = true
		close(w.found)
	}
	return len(p), nil
}

func (w *watcher) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}

// lacks is the first line of want that printed does not have behind the lines
// before it; empty if it has all. Lines that begin with a word of but are not
// looked for.
func lacks(printed, want string, but ...string) string {
	lines := strings.Split(printed, "\n")
	for _, line := range strings.Split(want, "\n") {
		passed := slices.ContainsFunc(but, func(word string) bool { return strings.HasPrefix(line, word) })
		if passed || plain(line) == "" || plain(line) == "…" {
			continue
		}
		for {
			if len(lines) == 0 {
				return line
			}
			head := lines[0]
			lines = lines[1:]
			if plain(head) == plain(line) {
				break
			}
		}
	}
	return ""
}

var varies = []*regexp.Regexp{
	regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`),             // an id
	regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\S+)?`), // a time
	regexp.MustCompile(`\d[\d,.:]*(ns|µs|ms|s|m\d+s)\b`),                        // a duration
	regexp.MustCompile(`\d[\d,.:]*`),                                            // a number, a position
}

// plain is a line without what differs from run to run.
func plain(line string) string {
	for _, v := range varies {
		line = v.ReplaceAllString(line, "#")
	}
	line = regexp.MustCompile(`[─-]{3,}`).ReplaceAllString(line, "---")
	return strings.Join(strings.Fields(line), " ")
}

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"a mark without a block", "<!-- ci -->\n\n```sh\nx\n```\n", "line 2: a block is to follow"},
		{"an unknown mark", "<!-- ci: sometimes -->\n```sh\nx\n```\n", `line 1: "sometimes" is no way`},
		{"a mark at the end", "<!-- ci -->", "has no end"},
		{"a block without an end", "```sh\nx\n", "has no end"},
		{"a run block of another language", "<!-- ci -->\n```go\nx\n```\n", `line 2: a block that is run is sh, not "go"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := parse(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("it is taken, or refused with another error: %v", err)
			}
		})
	}
}

func TestOutputIsComparedByItsShape(t *testing.T) {
	t.Parallel()
	const printed = "started in 1.2s\norder-7   Completed  24\nbatch-1 Running 3\ndone at 2026-11-23T10:00:00.5Z\n"
	tests := []struct{ name, want, missing string }{
		{"what is another each time", "other words\norder-1 Completed 1", ""},
		{"other numbers and times", "started in 870ms\norder-1  Completed  7\n…\ndone at 2027-01-01T00:00:00Z", ""},
		{"other words", "started in 870ms\norder-1 Failed 7", "order-1 Failed 7"},
		{"another order", "batch-1 Running 1\norder-7 Completed 1", "order-7 Completed 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := lacks(printed, tt.want, "other"); got != tt.missing {
				t.Errorf("lacks %q, want %q", got, tt.missing)
			}
		})
	}
}
