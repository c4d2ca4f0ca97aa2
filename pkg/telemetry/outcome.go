package telemetry

import (
	"errors"

	"go.opentelemetry.io/otel/attribute"

	"github.com/annals-io/annals/pkg/events"
)

// The outcomes of an append and of a heartbeat that are no errors, and that of an
// error that nobody named.
const (
	stored     = "stored"
	existed    = "existed"
	newestBeat = "newest"
	olderBeat  = "older"
	other      = "error"
)

// refusals name errors of appends and of heartbeats. An unknown outcome comes first: its cause may
// be any of the others.
var refusals = []struct {
	is   error
	name string
	// answer says that the log was reached and said no.
	answer bool
}{
	{events.ErrOutcomeUnknown, "unknown", false},
	{events.ErrConflict, "conflict", true},
	{events.ErrClosed, "closed", true},
	{events.ErrNotFound, "not_found", true},
	{events.ErrInvalid, "invalid", true},
	{events.ErrLimit, "limit", true},
	{events.ErrCommitIDReused, "commit_id_reused", true},
	{events.ErrOverloaded, "overloaded", false},
	{events.ErrUnavailable, "unavailable", false},
	{events.ErrCorrupt, "corrupt", false},
	{events.ErrWrongLog, "wrong_log", false},
}

// outcomes are the labels, made once.
var outcomes = func() map[string]attribute.Set {
	sets := map[string]attribute.Set{}
	names := []string{stored, existed, newestBeat, olderBeat, other}
	for _, r := range refusals {
		names = append(names, r.name)
	}
	for _, name := range names {
		sets[name] = attribute.NewSet(attribute.String("outcome", name))
	}
	return sets
}()

// outcome is one of outcomes.
func outcome(r events.Result, err error) string {
	switch {
	case err == nil && r.Existed:
		return existed
	case err == nil:
		return stored
	}
	return failure(err)
}

// heartbeatOutcome is one of outcomes.
func heartbeatOutcome(newest bool, err error) string {
	switch {
	case err != nil:
		return failure(err)
	case newest:
		return newestBeat
	default:
		return olderBeat
	}
}

// failure names an error.
func failure(err error) string {
	for _, refusal := range refusals {
		if errors.Is(err, refusal.is) {
			return refusal.name
		}
	}
	return other
}

// expected reports whether err is an answer that callers have to expect.
func expected(err error) bool {
	for _, refusal := range refusals {
		if errors.Is(err, refusal.is) {
			return refusal.answer
		}
	}
	return false
}
