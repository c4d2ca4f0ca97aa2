package embedpg

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
)

// linePrefix begins each line of the server's log with the SQLSTATE, so that lines can be told apart
// without reading their text.
const linePrefix = "%e "

// maxTail is how many of the last lines are kept for error messages.
const maxTail = 20

// logWriter takes a server's standard error, line by line, to a logger.
type logWriter struct {
	logger *slog.Logger

	mu   sync.Mutex // guards what follows: a failed start reads the tail while the server may still write
	part []byte     // a line without its end
	tail []string
}

func (w *logWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.part = append(w.part, p...)
	for {
		line, rest, ok := bytes.Cut(w.part, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		w.line(string(line))
		w.part = append(w.part[:0], rest...)
	}
}

func (w *logWriter) line(line string) {
	state, text, ok := strings.Cut(line, " ")
	if !ok || len(state) != 5 {
		state, text = "", line
	}
	if text = strings.TrimSpace(text); text == "" {
		return
	}
	if len(w.tail) == maxTail {
		w.tail = w.tail[1:]
	}
	w.tail = append(w.tail, text)
	w.logger.Log(context.Background(), level(state, text), text, slog.String("sqlstate", state))
}

// lines gives the last lines, joined.
func (w *logWriter) lines() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.tail, "\n")
}

// level grades a line. Errors of a statement are its sender's affair, who gets them as answers; and
// sessions refused or ended because the server starts or stops are expected (class 57P).
func level(state, text string) slog.Level {
	severity, _, _ := strings.Cut(text, ":")
	switch severity {
	case "PANIC":
		return slog.LevelError
	case "FATAL":
		if strings.HasPrefix(state, "57P") {
			return slog.LevelDebug
		}
		return slog.LevelWarn
	case "WARNING":
		return slog.LevelWarn
	}
	return slog.LevelDebug
}
