package cli

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
)

func TestExitCodes(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want int
	}{
		{"done", nil, 0},
		{"a conflict", fmt.Errorf("append: %w", &events.ConflictError{}), 1},
		{"closed", &events.ClosedError{}, 1},
		{"not found", &events.NotFoundError{}, 1},
		{"a limit", &events.LimitError{}, 1},
		{"a commit id for two", &events.CommitIDReusedError{}, 1},
		{"a difference", nof("1 difference"), 1},
		{"wrong flags", usagef("--x"), 2},
		{"input that can never be taken", &events.InvalidError{}, 2},
		{"JSON that can never be taken", &eventjson.FieldError{}, 2},
		{"unknown", &events.OutcomeUnknownError{Cause: errors.New("lost")}, 3},
		{"overloaded", &events.OverloadedError{}, 3},
		{"unavailable", events.ErrUnavailable, 3},
		{"corrupt", &events.CorruptError{}, 3},
		{"the wrong log", &events.WrongLogError{}, 3},
		{"interrupted", context.Canceled, 3},
		{"anything else", errors.New("disk full"), 3},
		{"another program's", &exitError{code: 42}, 42},
	} {
		if got := exitCode(tc.err); got != tc.want {
			t.Errorf("%s: exit code %d, want %d", tc.name, got, tc.want)
		}
	}
}
