package ingest

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
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

// ready answers for conditions. They are checked beside each other, each with
// all of its time: one that waits for a server which is away does not make the
// others look as if theirs were.
func ready(conditions []condition) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer := readiness{Ready: true, Conditions: make([]conditionState, len(conditions))}
		var checks sync.WaitGroup
		for i, c := range conditions {
			checks.Go(func() { answer.Conditions[i] = c.state(r.Context()) })
		}
		checks.Wait()
		status := http.StatusOK
		for _, c := range answer.Conditions {
			if !c.OK {
				answer.Ready, status = false, http.StatusServiceUnavailable
			}
		}
		writeJSON(w, status, answer)
	}
}

func (c condition) state(ctx context.Context) conditionState {
	ctx, cancel := context.WithTimeout(ctx, conditionTimeout)
	defer cancel()
	if err := c.check(ctx); err != nil {
		return conditionState{Name: c.name, Reason: err.Error()}
	}
	return conditionState{Name: c.name, OK: true}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone needs no answer
}
