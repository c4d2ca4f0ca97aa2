package replayer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"unicode"
)

// readLines gives what it reads line by line, until there is no more or nobody
// wants more. A line of more than most bytes ends it with an error.
func readLines(from io.Reader, most int, to chan<- []byte, drop <-chan struct{}) error {
	r := bufio.NewReaderSize(from, 64<<10)
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > most:
			return fmt.Errorf("printed a line of more than %d bytes", most)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && len(bytes.TrimSpace(line)) == 0:
			return nil
		}
		if len(bytes.TrimSpace(line)) > 0 {
			select {
			case to <- line:
			case <-drop:
				return nil
			}
		}
		if err != nil {
			return nil
		}
		line = nil
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex // guards the rest: exec writes from a goroutine of its own
	text []byte
	cut  bool
}

// tailBytes is how much is kept.
const tailBytes = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailBytes; over > 0 {
		t.text, t.cut = append([]byte(nil), t.text[over:]...), true
	}
	return len(p), nil
}

// String is what is kept, without what would break a terminal.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := bytes.TrimSpace(bytes.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return ' '
		}
		return r
	}, t.text))
	if t.cut {
		return "…" + string(text)
	}
	return string(text)
}
