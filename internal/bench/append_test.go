package bench

import (
	"context"
	"errors"
	"math"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// names runs a benchmark and gives the names of the cases in order.
func names(t *testing.T, o AppendOptions, check func(Result)) (all []string) {
	t.Helper()
	err := Append(t.Context(), o, func(r Result) error {
		all = append(all, r.Name)
		check(r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// sane fails unless the figures can be those of a run.
func sane(t *testing.T, r Result) {
	t.Helper()
	switch {
	case r.Value <= 0 || r.Raw <= 0 || r.N <= 0 || r.Unit != "commits/s":
		t.Errorf("%s: %+v", r.Name, r)
	case math.Abs(r.Ratio-r.Value/r.Raw) > 1e-9:
		t.Errorf("%s: the ratio of %f and %f is %f", r.Name, r.Value, r.Raw, r.Ratio)
	case r.P50 <= 0 || r.P99 < r.P50 || r.RawP50 <= 0 || r.RawP99 < r.RawP50:
		t.Errorf("%s: quantiles of %+v", r.Name, r)
	}
}

// Every case is measured on servers of its own, in as little time as there is.
func TestAppendMeasuresEveryCase(t *testing.T) {
	start := time.Now()
	got := names(t, AppendOptions{Within: time.Millisecond}, func(r Result) { sane(t, r) })
	t.Logf("%d cases in %s", len(got), time.Since(start))
	want := []string{
		"append/writers=1/events=1/replicas=1/fsync=default",
		"append/writers=1/events=10/replicas=1/fsync=default",
		"append/writers=64/events=1/replicas=1/fsync=default",
		"append/writers=64/events=10/replicas=1/fsync=default",
		"append/writers=256/events=1/replicas=1/fsync=default",
		"append/writers=256/events=10/replicas=1/fsync=default",
		"append/writers=1/events=1/replicas=1/fsync=always",
		"append/writers=1/events=10/replicas=1/fsync=always",
		"append/writers=64/events=1/replicas=1/fsync=always",
		"append/writers=64/events=10/replicas=1/fsync=always",
		"append/writers=256/events=1/replicas=1/fsync=always",
		"append/writers=256/events=10/replicas=1/fsync=always",
		"append/writers=1/events=1/replicas=3/fsync=default",
		"append/writers=1/events=10/replicas=3/fsync=default",
		"append/writers=64/events=1/replicas=3/fsync=default",
		"append/writers=64/events=10/replicas=3/fsync=default",
		"append/writers=256/events=1/replicas=3/fsync=default",
		"append/writers=256/events=10/replicas=3/fsync=default",
		"append/writers=1/events=1/replicas=3/fsync=always",
		"append/writers=1/events=10/replicas=3/fsync=always",
		"append/writers=64/events=1/replicas=3/fsync=always",
		"append/writers=64/events=10/replicas=3/fsync=always",
		"append/writers=256/events=1/replicas=3/fsync=always",
		"append/writers=256/events=10/replicas=3/fsync=always",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("cases (-want +got):\n%s", d)
	}
}

// A server that is given is left as it was found, and one that has a log is not touched.
func TestAppendOnAGivenServer(t *testing.T) {
	nc := testenv.NATS(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	o := AppendOptions{
		Filter: regexp.MustCompile("writers=64/events=10/replicas=1"), Duration: 40 * time.Millisecond,
		Connect: func() (*nats.Conn, error) { return nats.Connect(testenv.URL(nc)) },
	}
	got := names(t, o, func(r Result) { sane(t, r) })
	if d := cmp.Diff([]string{"append/writers=64/events=10/replicas=1/fsync=server"}, got); d != "" {
		t.Errorf("cases (-want +got):\n%s", d)
	}
	for name := range js.StreamNames(t.Context()).Name() {
		t.Errorf("stream %s is left", name)
	}

	id, err := natslog.Create(t.Context(), js, natslog.CreateOptions{Streams: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := Append(t.Context(), o, func(Result) error { return nil }); !errors.Is(err, ErrLogThere) {
		t.Errorf("with a log there: %v", err)
	}
	log, err := natslog.Open(t.Context(), js, natslog.Config{LogID: id.LogID})
	if err != nil {
		t.Fatal(err)
	}
	for p := range 2 {
		if b, err := log.Bounds(t.Context(), 0); err != nil || b.Last != 0 {
			t.Errorf("stream %d has %+v, %v", p, b, err)
		}
	}
	// Nor what is left of one that is damaged.
	if err := js.DeleteStream(t.Context(), natslog.StreamName(0)); err != nil {
		t.Fatal(err)
	}
	if err := Append(t.Context(), o, func(Result) error { return nil }); !errors.Is(err, ErrLogThere) {
		t.Errorf("with the rest of a log there: %v", err)
	}
	for _, name := range []string{natslog.StreamName(1), natslog.HeartbeatStream, natslog.ControlStream} {
		if _, err := js.Stream(t.Context(), name); err != nil {
			t.Errorf("stream %s: %v", name, err)
		}
	}
	o.Filter = regexp.MustCompile("writers=2/")
	if err := Append(t.Context(), o, func(Result) error { return nil }); !errors.Is(err, ErrNoCase) {
		t.Errorf("a filter that matches nothing gave %v", err)
	}
}

// Who interrupts a benchmark reads that, and not that an append has an unknown outcome.
func TestAppendInterruptedSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	time.AfterFunc(300*time.Millisecond, func() { cancel(enough) })
	o := AppendOptions{Filter: regexp.MustCompile("writers=1/events=1/replicas=1/fsync=default"), Duration: time.Hour}
	if err := Append(ctx, o, func(Result) error { return nil }); !errors.Is(err, enough) || errors.Is(err, events.ErrOutcomeUnknown) {
		t.Errorf("interrupted: %v", err)
	}
}
