package e2e

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// speech is what a program says, for those who wait for it.
type speech struct {
	mu   sync.Mutex // guards the rest
	text bytes.Buffer
	more chan struct{} // closed and replaced when something is said
}

func newSpeech() *speech { return &speech{more: make(chan struct{})} }

// Write takes what was said.
func (s *speech) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.more)
	s.more = make(chan struct{})
	return s.text.Write(b)
}

// String is all that was said.
func (s *speech) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await returns once it was said.
func (s *speech) await(t *testing.T, what string) {
	t.Helper()
	over := time.After(5 * time.Minute)
	for {
		s.mu.Lock()
		said, more := strings.Contains(s.text.String(), what), s.more
		s.mu.Unlock()
		if said {
			return
		}
		select {
		case <-more:
		case <-over:
			t.Fatalf("it never said %q, but\n%s", what, s)
		}
	}
}
