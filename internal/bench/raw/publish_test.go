package raw_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/bench/raw"
	"github.com/annals-io/annals/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// A baseline that publishes without the condition, or something smaller, would be
// held against work that is not the same.
func TestPublishes(t *testing.T) {
	js, err := jetstream.New(testenv.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	if err != nil {
		t.Fatal(err)
	}
	header := nats.Header{"A": {"1"}, "B": {"2", "3"}, jetstream.ExpectedLastSubjSeqHeader: {"77"}}
	one := raw.NewPublisher(js, "s.one", header, []byte("body"))
	other := raw.NewPublisher(js, "s.one", header, []byte("other"))
	for range 3 {
		if err := one.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Publish(t.Context()); err == nil {
		t.Error("a publish was stored that expects no message, and there are three")
	} else if api := (*jetstream.APIError)(nil); !errors.As(err, &api) || api.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence {
		t.Errorf("gave %v", err)
	}
	m, err := s.GetMsg(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	want := nats.Header{"A": {"1"}, "B": {"2", "3"}, jetstream.ExpectedLastSubjSeqHeader: {"2"}}
	if d := cmp.Diff(want, m.Header); d != "" || m.Subject != "s.one" || string(m.Data) != "body" {
		t.Errorf("stored is %s %q (-want +got):\n%s", m.Subject, m.Data, d)
	}
	if header.Get(jetstream.ExpectedLastSubjSeqHeader) != "77" {
		t.Error("the header that was given was changed")
	}
}
