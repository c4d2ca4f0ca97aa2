package ingest

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// conditionTimeout is how long a condition has to be found true.
const conditionTimeout = 2 * time.Second

// condition is one that a server needs to be ready.
type condition struct {
	name  string
	check func(context.Context) error
}

// conditions are all of them.
func (s *Server) conditions() []condition {
	return []condition{
		{"accepting", func(context.Context) error {
			if s.draining.Load() {
				return errDraining
			}
			return nil
		}},
		{"log", func(ctx context.Context) error {
			_, err := s.config.Log.Bounds(ctx, events.Partition(0))
			return err
		}},
		{"tables", s.config.Tables.CheckVersion},
	}
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready      bool             `json:"ready"`
	Conditions []conditionState `json:"conditions"`
}

type conditionState struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

// mountHealth adds /healthz, which says that the process answers; /readyz, which
// says whether every condition holds; and /readyz/NAME for one alone: a balancer
// that sends appends only may go by the log.
func (s *Server) mountHealth() {
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]bool{"ok": true})
	})
	all := s.conditions()
	s.mux.HandleFunc("GET /readyz", ready(all))
	for _, c := range all {
		s.mux.HandleFunc("GET /readyz/"+c.name, ready([]condition{c}))
	}
}

func ready(conditions []condition) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), conditionTimeout)
		defer cancel()
		answer := readiness{Ready: true}
		for _, c := range conditions {
			state := conditionState{Name: c.name, OK: true}
			if err := c.check(ctx); err != nil {
				state.OK, state.Reason, answer.Ready = false, err.Error(), false
			}
			answer.Conditions = append(answer.Conditions, state)
		}
		status := http.StatusOK
		if !answer.Ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, answer)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone needs no answer
}
