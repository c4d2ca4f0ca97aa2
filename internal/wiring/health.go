package wiring

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/annals-io/annals/pkg/projection"
)

// Health is what a projector tells whoever asks whether it is ready. It is: it
// takes its share of the partitions, or would as soon as there is one for it. One
// that stands by with none is ready too. The zero value is of one that has not
// begun. It is safe for concurrent use.
type Health struct {
	mu     sync.Mutex // guards member
	member func() projection.MembershipStatus
}

// follow has it tell how a member stands.
func (h *Health) follow(member func() projection.MembershipStatus) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.member = member
}

// reason is why it is not ready; empty: it is.
func (h *Health) reason() string {
	h.mu.Lock()
	member := h.member
	h.mu.Unlock()
	if member == nil {
		return "not begun yet"
	}
	switch s := member(); {
	case s.Err != nil:
		return s.Err.Error()
	case s.Members == 0:
		return "not looked at the leases yet"
	}
	return ""
}

// serve answers as ingest's /readyz does.
func (h *Health) serve(w http.ResponseWriter, _ *http.Request) {
	reason := h.reason()
	status := http.StatusOK
	if reason != "" {
		status = http.StatusServiceUnavailable
	}
	type condition struct {
		Name   string `json:"name"`
		OK     bool   `json:"ok"`
		Reason string `json:"reason,omitempty"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // a client that is gone needs no answer
		Ready      bool        `json:"ready"`
		Conditions []condition `json:"conditions"`
	}{reason == "", []condition{{"leases", reason == "", reason}}})
}
