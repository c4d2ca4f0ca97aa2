package natslog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// fill has every stream hold what the backup does.
func (r *restoring) fill(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(restoredAtATime)
	for _, s := range r.streams {
		if s.done {
			continue
		}
		g.Go(func() error {
			if err := r.fillStream(ctx, s); err != nil {
				return fmt.Errorf("restore stream %s: %w", s.content.Name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (r *restoring) fillStream(ctx context.Context, s *restoredStream) error {
	if err := r.fillPatiently(ctx, s); err != nil {
		return err
	}
	stream, err := r.stream(ctx, s.content.Name)
	if err != nil {
		return err
	}
	if s.partition == heartbeats {
		return nil
	}
	if !s.whole() || s.start != s.content.First {
		if err := s.clearGaps(ctx, stream); err != nil {
			return fmt.Errorf("remove what stands for missing messages: %w", err)
		}
		if stream, err = r.stream(ctx, s.content.Name); err != nil {
			return err
		}
	}
	state := stream.CachedInfo().State
	if got := boundsOf(state); got.Last != s.content.Last || int64(state.Msgs) != s.content.Messages {
		return fmt.Errorf("%w: %d messages up to %d, the backup has %d up to %d", ErrSpoiled, state.Msgs, got.Last, s.content.Messages, s.content.Last)
	}
	return nil
}

// clearGaps removes what took the place of missing messages.
func (s *restoredStream) clearGaps(ctx context.Context, stream jetstream.Stream) error {
	if s.start < s.content.First {
		if err := stream.Purge(ctx, jetstream.WithPurgeSequence(s.content.First)); err != nil {
			return err
		}
	}
	if s.whole() {
		return nil
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(s.fillerSubject())); err != nil {
		return err
	}
	for seq := range s.stubs {
		if seq < s.content.First {
			continue
		}
		if err := stream.DeleteMsg(ctx, seq); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) && !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
			return err
		}
	}
	return nil
}

const (
	// restorePatience is how long a restore tries again without getting any further.
	restorePatience = time.Minute
	// settle is how long it lets a server finish what a lost connection sent.
	settle = 250 * time.Millisecond
	// restoreTold lies between two lines about a stream that gets no further.
	restoreTold = 10 * time.Second
)

// fillPatiently fills a stream, over connection after connection if need be.
func (r *restoring) fillPatiently(ctx context.Context, s *restoredStream) error {
	var since, told time.Time // when it last got further, and was last written about
	for after := uint64(0); ; {
		err := r.fillOnce(ctx, s, &after)
		switch {
		case err == nil, ctx.Err() != nil, errors.Is(err, ErrSpoiled), errors.Is(err, backup.ErrDamaged), errors.Is(err, errRefused):
			return err
		case after > 0 || since.IsZero():
			since, after = time.Now(), 0
		case time.Since(since) > restorePatience:
			return fmt.Errorf("%w: %w", events.ErrUnavailable, err)
		}
		if time.Since(told) >= restoreTold {
			told = time.Now()
			r.o.Logger.LogAttrs(ctx, slog.LevelWarn, "restoring: interrupted, trying again", slog.String("stream", s.content.Name), slog.Any("error", err))
		}
		pause := time.NewTimer(settle)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// fillOnce fills a stream over one connection, which it does not make again:
// else what was sent after a message that was lost would take its place.
// It sets progress if any message was stored.
func (r *restoring) fillOnce(ctx context.Context, s *restoredStream, progress *uint64) error {
	options := r.js.Conn().Opts
	options.AllowReconnect, options.RetryOnFailedConnect = false, false
	options.ClosedCB, options.DisconnectedErrCB, options.ReconnectedCB, options.ConnectedCB = nil, nil, nil, nil
	options.AsyncErrorCB = func(*nats.Conn, *nats.Subscription, error) {}
	options.Name += " restore"
	nc, err := options.Connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	pub, err := newPublishing(nc, s.content.Name)
	if err != nil {
		return err
	}
	defer pub.close()
	defer func() { *progress = pub.acknowledged }()
	pub.progress = r.o.Progress
	if s.partition == heartbeats {
		return r.fillHeartbeats(ctx, s, pub)
	}
	after, err := r.restoredUpTo(ctx, s)
	if err != nil {
		return err
	}
	return r.fillPartition(ctx, s, pub, after)
}

// fillPartition publishes what the backup has of a partition after a sequence.
// What is missing there is missing afterwards: messages of another subject take
// the place of gaps until they are purged.
func (r *restoring) fillPartition(ctx context.Context, s *restoredStream, pub *publishing, after uint64) error {
	next := max(after+1, s.start)
	gapTo := func(end uint64) error {
		for ; next < end; next++ {
			subject := s.fillerSubject()
			if stub, ok := s.stubs[next]; ok {
				subject = s.restoreSubject() + stub
			}
			if err := pub.send(ctx, subject, nil, nil, next); err != nil {
				return err
			}
		}
		return nil
	}
	for m, err := range r.folder.Follow(ctx, s.inBackup(), events.FollowOptions{After: next - 1}) {
		if err != nil {
			return err
		}
		if err := gapTo(m.Position.Sequence); err != nil {
			return err
		}
		subject, ok := strings.CutPrefix(m.Subject, s.prefix())
		if !ok {
			return fmt.Errorf("%w: message %s has the subject %s, which is none of this stream", errRefused, m.Position, m.Subject)
		}
		send := pub.send
		if len(m.Header[nats.MsgIdHdr]) > 0 {
			send = pub.alone
		}
		if err := send(ctx, s.restoreSubject()+subject, m.Header, m.Body, next); err != nil {
			return err
		}
		next++
	}
	if err := gapTo(s.content.Last + 1); err != nil {
		return err
	}
	return pub.drain(ctx)
}

// restoredUpTo is how far a stream is restored already, which it checks at the end.
func (r *restoring) restoredUpTo(ctx context.Context, s *restoredStream) (uint64, error) {
	stream, err := r.stream(ctx, s.content.Name)
	if err != nil {
		return 0, err
	}
	state := stream.CachedInfo().State
	last := state.LastSeq
	if state.Msgs == 0 || last < s.start {
		return max(last, s.start-1), nil
	}
	if last > s.content.Last {
		return 0, fmt.Errorf("%w: it ends at %d, the backup at %d", ErrSpoiled, last, s.content.Last)
	}
	at := events.Position{Partition: s.partition, Sequence: last}
	want, err := r.folder.Message(ctx, events.Position{Partition: s.inBackup(), Sequence: last})
	gap := errors.Is(err, events.ErrNotFound)
	if err != nil && !gap {
		return 0, err
	}
	reader := &store{js: r.js, nc: r.js.Conn(), config: Config{}.withDefaults()}
	reader.checked.Store(reader.nc.Stats().Reconnects)
	got, err := reader.Get(ctx, at)
	switch {
	case gap && (errors.Is(err, subjectlog.ErrNone) || err == nil && (got.Subject == s.fillerSubject() || got.Subject == s.prefix()+s.stubs[last])):
	case err != nil && !errors.Is(err, subjectlog.ErrNone):
		return 0, err
	case err != nil || gap || got.Subject != want.Subject || !bytes.Equal(got.Body, want.Body) || !sameHeader(got.Header, want.Header):
		return 0, fmt.Errorf("%w: message %d is another one", ErrSpoiled, last)
	}
	return last, nil
}

func sameHeader(a, b events.Header) bool {
	return maps.EqualFunc(a, b, func(x, y []string) bool { return slices.Equal(x, y) })
}

// expectedHeader is the compare-and-set of a stored message.
const expectedHeader = "Nats-Expected-Last-Subject-Sequence"

// fillHeartbeats publishes the newest heartbeat of each activity, as the first of
// its subject. Those that the log would have forgotten already are left out: the
// others begin their age anew. What is no heartbeat is left out too.
func (r *restoring) fillHeartbeats(ctx context.Context, s *restoredStream, pub *publishing) error {
	stream, err := r.stream(ctx, s.content.Name)
	if err != nil {
		return err
	}
	if err := stream.Purge(ctx); err != nil { // an attempt before
		return err
	}
	newest := map[[16]byte]uint64{} // by the hash of the subject
	key := func(subject string) [16]byte {
		sum := sha256.Sum256([]byte(subject))
		return [16]byte(sum[:16])
	}
	p := s.inBackup()
	for m, err := range r.folder.Follow(ctx, p, events.FollowOptions{}) {
		if err != nil {
			return err
		}
		newest[key(m.Subject)] = m.Position.Sequence
	}
	var kept, forgotten int64
	for m, err := range r.folder.Follow(ctx, p, events.FollowOptions{}) {
		if err != nil {
			return err
		}
		if newest[key(m.Subject)] != m.Position.Sequence {
			continue
		}
		if _, err := events.DecodeHeartbeat(m); err != nil || time.Since(m.Time) > s.final.MaxAge {
			forgotten++
			continue
		}
		m.Header[expectedHeader] = []string{"0"}
		if err := pub.send(ctx, s.restoreSubject()+strings.TrimPrefix(m.Subject, s.prefix()), m.Header, m.Body, 0); err != nil {
			return err
		}
		kept++
	}
	r.heartbeats.Store(kept)
	r.forgotten.Store(forgotten)
	return pub.drain(ctx)
}
