package historytest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"go.temporal.io/api/temporalproto"
	"google.golang.org/protobuf/proto"

	historypb "go.temporal.io/api/history/v1"

	"github.com/annals-io/annals/pkg/events"
)

// Real writes the histories of a folder of Temporal's exports, the ones that tests are given (ANNALS_HISTORIES) or
// else the examples under root, each into a workflow of its own, interleaved, in commits of any size. Those that the
// log refuses, such as ones that do not begin at their beginning, are left out from there on. It gives the workflows
// that were begun.
func Real(ctx context.Context, log events.Appender, root string, r *rand.Rand) ([]events.Workflow, error) {
	dir := os.Getenv("ANNALS_HISTORIES")
	if dir == "" {
		dir = filepath.Join(root, "examples", "histories")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no histories in %s: %w", dir, err)
	}
	type story struct {
		request events.Request
		rest    []*events.Event
	}
	var open []*story
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		var h historypb.History
		if err := (temporalproto.CustomJSONUnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, &h); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		w := events.Workflow{Namespace: "real", ID: strings.TrimSuffix(filepath.Base(f), ".json")}
		if len(h.Events) > 0 {
			open = append(open, &story{events.Request{Workflow: w, RunID: "run-1", Expect: events.NewRun()}, h.Events})
		}
	}
	var begun []events.Workflow
	for len(open) > 0 {
		i := r.IntN(len(open))
		s := open[i]
		n := 1 + r.IntN(min(len(s.rest), 20))
		s.request.Events = nil
		for _, e := range s.rest[:n] {
			s.request.Events = append(s.request.Events, proto.CloneOf(e))
		}
		res, err := log.Append(ctx, s.request)
		switch {
		case errors.Is(err, events.ErrInvalid), errors.Is(err, events.ErrClosed):
			s.rest = nil
		case err != nil:
			return nil, fmt.Errorf("append to %s: %w", s.request.Workflow, err)
		default:
			if s.request.RunID != "" {
				begun = append(begun, s.request.Workflow)
			}
			s.request.RunID, s.request.Expect = "", events.After(res.Cursor)
			s.rest = s.rest[n:]
		}
		if len(s.rest) == 0 {
			open[i] = open[len(open)-1]
			open = open[:len(open)-1]
		}
	}
	return begun, nil
}
