package ingest

import (
	"encoding/json"
	"sync"
	"time"
)

// natsStats are what `nats micro stats` shows of a call beside the service's own
// figures, which know requests only: those are counted when they come, and a
// call takes longer. Safe for concurrent use.
type natsStats struct {
	mu     sync.Mutex // guards what follows, for the length of an addition
	calls  uint64
	errors uint64
	took   time.Duration
	last   string
}

// count adds an answered call. Failure is its error, empty if there was none.
func (s *natsStats) count(took time.Duration, failure string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.took += took
	if failure != "" {
		s.errors++
		s.last = failure
	}
}

// MarshalJSON is what a request for statistics is answered with, as the
// endpoint's data.
func (s *natsStats) MarshalJSON() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	average := time.Duration(0)
	if s.calls > 0 {
		average = s.took / time.Duration(s.calls)
	}
	return json.Marshal(struct {
		Calls       uint64        `json:"calls"`
		Errors      uint64        `json:"errors"`
		LastError   string        `json:"last_error,omitempty"`
		AverageTime time.Duration `json:"average_time"` // nanoseconds, as the service's own
	}{s.calls, s.errors, s.last, average})
}
