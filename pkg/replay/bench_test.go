package replay_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/bench/bulk"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/heads"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/replay"
)

// How fast a log on one server is held against itself, alone and together with
// heads, beside reading it and writing its heads.
func BenchmarkVerifyLog(b *testing.B) {
	const rounds, workflows, streams = 10, 1000, 4
	for _, size := range []int{1, 3} {
		js, err := jetstream.New(testenv.NATS(b))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := natslog.Create(b.Context(), js, natslog.CreateOptions{Streams: streams}); err != nil {
			b.Fatal(err)
		}
		log, err := natslog.Open(b.Context(), js, natslog.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		if err := bulk.Write(b.Context(), log, rounds, workflows, size); err != nil {
			b.Fatal(err)
		}
		var file bytes.Buffer
		if _, err := heads.Write(b.Context(), log, &file, heads.Options{Workflows: true}); err != nil {
			b.Fatal(err)
		}
		opened, err := heads.Open("heads", bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil {
			b.Fatal(err)
		}
		verify := func(o replay.VerifyOptions) error {
			r, err := replay.VerifyLog(b.Context(), log, o)
			if err == nil && (len(r.Differences) > 0 || r.Events != rounds*workflows*bulk.Events) {
				err = fmt.Errorf("%d events, %d differences", r.Events, len(r.Differences))
			}
			return err
		}
		for _, bench := range []struct {
			name string
			run  func() error
		}{
			{"read", func() error {
				for p := range events.Partition(streams) {
					bounds, err := log.Bounds(b.Context(), p)
					if err != nil {
						return err
					}
					for _, err := range log.Follow(b.Context(), p, events.FollowOptions{Until: bounds.Last}) {
						if err != nil {
							return err
						}
					}
				}
				return nil
			}},
			{"verify", func() error { return verify(replay.VerifyOptions{}) }},
			{"verify and heads", func() error {
				check, err := heads.NewCheck(log.Identity(), nil, opened)
				if err == nil {
					err = verify(replay.VerifyOptions{Beside: func(p events.Partition) replay.Observer { return check.Partition(p) }})
				}
				if r := check.Report(); len(r.Differences) > 0 {
					err = fmt.Errorf("%d differences", len(r.Differences))
				}
				return err
			}},
			{"check heads", func() error {
				check, err := heads.NewCheck(log.Identity(), nil, opened)
				if err != nil {
					return err
				}
				return check.Run(b.Context(), log, nil)
			}},
			{"write heads", func() error {
				_, err := heads.Write(b.Context(), log, &bytes.Buffer{}, heads.Options{})
				return err
			}},
		} {
			b.Run(fmt.Sprintf("%s/streams=%d/commit=%d", bench.name, streams, size), func(b *testing.B) {
				for b.Loop() {
					if err := bench.run(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N*rounds*workflows*bulk.Events)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
