package pgstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// setCheckpoint moves a partition's checkpoint, of this projection or another.
func setCheckpoint(t *testing.T, pool *pgxpool.Pool, projection string, p events.Partition, sequence uint64) {
	t.Helper()
	exec(t, pool, `INSERT INTO annals.projections (name) VALUES ($1) ON CONFLICT DO NOTHING`, projection)
	exec(t, pool, `INSERT INTO annals.generations (projection, generation, version, state, live_at) VALUES ($1, 1, 1, 'live', now()) ON CONFLICT DO NOTHING`, projection)
	exec(t, pool, `INSERT INTO annals.checkpoints (projection, generation, partition, log_id, log_epoch, sequence, commit_hash, commit_time)
		VALUES ($1, 1, $2, 'log', 1, $3::bigint, CASE WHEN $3::bigint > 0 THEN '\x00112233445566778899aabbccddeeff'::bytea END, CASE WHEN $3::bigint > 0 THEN now() END)
		ON CONFLICT (projection, generation, partition) DO UPDATE SET sequence = excluded.sequence, commit_hash = excluded.commit_hash, commit_time = excluded.commit_time`,
		projection, int16(p), int64(sequence))
}

func TestWaitForWhatIsThere(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	setCheckpoint(t, pool, pgstore.Name, 0, 5)
	setCheckpoint(t, pool, pgstore.Name, 3, 7)
	for _, tc := range []struct {
		name   string
		vector events.Vector
	}{
		{"nothing", events.Vector{}},
		{"the checkpoint itself, which is inclusive", events.VectorOf(events.Position{Partition: 0, Sequence: 5})},
		{"several", events.VectorOf(events.Position{Partition: 3, Sequence: 1}, events.Position{Partition: 0, Sequence: 5}, events.Position{Partition: 3, Sequence: 7})},
		{"before the first of a partition without a checkpoint", events.VectorOf(events.Position{Partition: 9})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := s.WaitFor(t.Context(), tc.vector); err != nil {
				t.Error(err)
			}
		})
	}
}

// The wait ends when the checkpoint arrives, not before.
func TestWaitForWhatComes(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	setCheckpoint(t, pool, pgstore.Name, 1, 1)
	done := make(chan error, 1)
	go func() { done <- s.WaitFor(t.Context(), events.VectorOf(events.Position{Partition: 1, Sequence: 3})) }()
	for sequence := uint64(2); sequence <= 3; sequence++ {
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		default:
		}
		setCheckpoint(t, pool, pgstore.Name, 1, sequence)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestWaitForWhatDoesNotCome(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	setCheckpoint(t, pool, pgstore.Name, 0, 5)
	setCheckpoint(t, pool, pgstore.Name, 1, 4)
	setCheckpoint(t, pool, "another", 2, 100) // not what the tables are made by
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := s.WaitFor(ctx, events.VectorOf(
		events.Position{Partition: 2, Sequence: 1}, events.Position{Partition: 1, Sequence: 9}, events.Position{Partition: 0, Sequence: 5}, events.Position{Partition: 1, Sequence: 6},
	))
	var behind *projection.BehindError
	if !errors.As(err, &behind) || !errors.Is(err, projection.ErrBehind) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want a *BehindError of the deadline", err)
	}
	want := []projection.Behind{
		{Wanted: events.Position{Partition: 1, Sequence: 9}, Checkpoint: 4},
		{Wanted: events.Position{Partition: 2, Sequence: 1}, Checkpoint: 0},
	}
	if diff := cmp.Diff(want, behind.Behind); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := err.Error(), "the tables are behind: 1:9 wanted, partition is at 4, 5 behind; 2:1 wanted, partition is at 0, 1 behind: context deadline exceeded"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// A wait that never learnt anything says that, not that the tables are behind.
func TestWaitForWithoutDatabase(t *testing.T) {
	t.Parallel()
	s, pool := newQueries(t)
	pool.Close()
	err := s.WaitFor(t.Context(), events.VectorOf(events.Position{Partition: 0, Sequence: 1}))
	if err == nil || errors.Is(err, projection.ErrBehind) {
		t.Errorf("got %v, want the database's error", err)
	}
}
