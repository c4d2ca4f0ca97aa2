package natslog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
)

// CreateOptions say what a new log is like. Zero fields mean the default.
type CreateOptions struct {
	Streams  int // 1 to 1,024; 16
	Replicas int // of every stream, 1 to 5; 1
	// HeartbeatAge is how long the last heartbeat of an activity is kept; at
	// least 100 ms, 24 h.
	HeartbeatAge time.Duration
}

// leastHeartbeatAge is the least age limit that a server takes.
const leastHeartbeatAge = 100 * time.Millisecond

// Create makes the log's streams, or completes and checks those that are there:
// it is idempotent, and safe when several processes do it at once. The first
// stream decides which log it is. It fails with events.ErrWrongLog if a log is
// there that is not as the options say; zero options take it as it is. A log of
// before heartbeats, or decisions, gets its stream of them.
func Create(ctx context.Context, js jetstream.JetStream, o CreateOptions) (events.Identity, error) {
	want := o
	if want.Streams == 0 {
		want.Streams = 16
	}
	if want.Replicas == 0 {
		want.Replicas = 1
	}
	if want.Replicas < 1 || want.Replicas > 5 {
		return events.Identity{}, &events.InvalidError{Field: "replicas", Reason: fmt.Sprintf("is %d, a stream has 1 to 5", want.Replicas)}
	}
	if want.HeartbeatAge == 0 {
		want.HeartbeatAge = 24 * time.Hour
	}
	if want.HeartbeatAge < leastHeartbeatAge {
		return events.Identity{}, &events.InvalidError{Field: "heartbeatAge", Reason: fmt.Sprintf("is %s, the least is %s", want.HeartbeatAge, leastHeartbeatAge)}
	}
	m, err := events.EvenSlotMap(want.Streams)
	if err != nil {
		return events.Identity{}, err
	}
	id := events.Identity{LogID: uuid.Must(uuid.NewV7()).String(), Epoch: 1, Format: events.Format, Map: m}

	first, err := ensureStream(ctx, js, streamConfig(id, 0, want.Replicas))
	if err != nil {
		return events.Identity{}, err
	}
	s, err := parseMetadata(first.Name, first.Metadata)
	if err != nil {
		return events.Identity{}, err
	}
	if o.Streams != 0 && o.Streams != s.streams {
		return events.Identity{}, &events.WrongLogError{What: "number of streams", Want: strconv.Itoa(o.Streams), Got: strconv.Itoa(s.streams)}
	}
	if o.Replicas != 0 && o.Replicas != first.Replicas {
		return events.Identity{}, &events.WrongLogError{What: "replicas", Want: strconv.Itoa(o.Replicas), Got: strconv.Itoa(first.Replicas)}
	}
	if s.streams != want.Streams {
		if m, err = events.EvenSlotMap(s.streams); err != nil {
			return events.Identity{}, err
		}
	}
	id.LogID, id.Epoch, id.Map = s.logID, s.epoch, m

	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for p := 1; p < id.Map.Partitions(); p++ {
		g.Go(func() error {
			_, err := ensureStream(gctx, js, streamConfig(id, events.Partition(p), first.Replicas))
			return err
		})
	}
	g.Go(func() error {
		c, err := ensureStream(gctx, js, heartbeatConfig(id, first.Replicas, want.HeartbeatAge))
		if err == nil && o.HeartbeatAge != 0 && o.HeartbeatAge != c.MaxAge {
			err = &events.WrongLogError{What: "max_age of stream " + HeartbeatStream, Want: o.HeartbeatAge.String(), Got: c.MaxAge.String()}
		}
		return err
	})
	g.Go(func() error {
		_, err := ensureStream(gctx, js, controlConfig(id, first.Replicas))
		return err
	})
	if err := g.Wait(); err != nil {
		return events.Identity{}, err
	}
	// The streams are there; a cluster that others ask too may need a while to say so.
	ctx, cancel := context.WithTimeout(ctx, createPatience)
	defer cancel()
	return backoff.RetryWithData(func() (events.Identity, error) {
		id, err := identify(ctx, patient(js, createAttempt, createPatience))
		if err != nil && !errors.Is(err, events.ErrUnavailable) {
			err = backoff.Permanent(err)
		}
		return id, err
	}, retry(ctx))
}

const (
	// createPatience ends the creation of one stream: in a cluster it waits for
	// a leader, and for others who create it.
	createPatience = time.Minute
	// createAttempt ends the first request of it. A cluster leaves some requests
	// without an answer where several create one stream.
	createAttempt = 3 * time.Second
)

// ensureStream gives the configuration of the stream that has the name, and
// creates it if there is none.
func ensureStream(ctx context.Context, js jetstream.JetStream, c jetstream.StreamConfig) (jetstream.StreamConfig, error) {
	ctx, cancel := context.WithTimeout(ctx, createPatience)
	defer cancel()
	unanswered := 0
	got, err := backoff.RetryWithData(func() (jetstream.StreamConfig, error) {
		attempt, cancel := context.WithTimeout(ctx, longer(createAttempt, unanswered))
		defer cancel()
		s, err := js.Stream(attempt, c.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			s, err = js.CreateStream(attempt, c)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			unanswered++
		}
		if err != nil {
			if !passes(err) {
				err = backoff.Permanent(err)
			}
			return jetstream.StreamConfig{}, err
		}
		return s.CachedInfo().Config, nil
	}, retry(ctx))
	if err != nil {
		return jetstream.StreamConfig{}, fmt.Errorf("create stream %s: %w", c.Name, err)
	}
	return got, nil
}

// passes reports whether the creation of a stream that failed may succeed when
// it is tried again: somebody else was quicker, or a cluster is not ready.
func passes(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrNoResponders) ||
		errors.As(err, &api) && api.Code == 503
}

// identify reads which log the streams are, and refuses streams that do not
// agree or are not as a log's must be.
func identify(ctx context.Context, ask asking) (events.Identity, error) {
	id, objections := survey(ctx, ask)
	if len(objections) > 0 {
		return events.Identity{}, objections[0]
	}
	return id, nil
}

// Objections are all that is wrong with the streams that the connection reaches,
// in their order: Open fails with the first. There are none for a log that can be
// opened. Each is an events.WrongLogError, or events.ErrUnavailable where a stream
// could not be asked: then others may not have been.
func Objections(ctx context.Context, js jetstream.JetStream) []error {
	_, objections := survey(ctx, js.Stream)
	return objections
}

// survey is identify with all objections, of which one is enough to make the
// identity worthless.
func survey(ctx context.Context, ask asking) (events.Identity, []error) {
	only := func(err error) (events.Identity, []error) { return events.Identity{}, []error{err} }
	first, err := ask(ctx, StreamName(0))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return only(&events.WrongLogError{What: "stream " + StreamName(0), Want: "there", Got: "not found: create the log first (annals log create)"})
	}
	if err != nil {
		return only(unavailable(StreamName(0), err))
	}
	base, err := parseMetadata(StreamName(0), first.CachedInfo().Config.Metadata)
	if err != nil {
		return only(err)
	}
	if base.streams < 1 || base.streams > events.Slots {
		return only(&events.WrongLogError{What: "number of streams", Want: fmt.Sprintf("1 to %d", events.Slots), Got: strconv.Itoa(base.streams)})
	}
	id := events.Identity{
		LogID: base.logID, Epoch: base.epoch, Format: base.format,
		Map: events.SlotMap{Version: base.mapVersion, Ranges: make([]events.SlotRange, base.streams)},
	}
	found := make([][]error, base.streams+2) // by stream, the heartbeats and the decisions last
	id.Map.Ranges[0], found[0] = ofPartition(StreamName(0), first.CachedInfo().Config, base)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for p := 1; p < base.streams; p++ {
		g.Go(func() (err error) {
			id.Map.Ranges[p], found[p], err = surveyPartition(ctx, ask, events.Partition(p), base)
			return err
		})
	}
	g.Go(func() (err error) {
		found[base.streams], err = surveyBeside(ctx, ask, HeartbeatStream, base, heartbeatFaults)
		return err
	})
	g.Go(func() (err error) {
		found[base.streams+1], err = surveyBeside(ctx, ask, ControlStream, base, controlFaults)
		return err
	})
	err = g.Wait()
	objections := slices.Concat(found...)
	if err != nil {
		objections = append(objections, err)
	}
	if len(objections) == 0 {
		if err := id.Map.Validate(); err != nil {
			return only(&events.WrongLogError{What: "map of slots", Want: "every slot in one stream", Got: err.Error()})
		}
	}
	return id, objections
}

// surveyPartition gives the slots that a partition's stream owns, and what is wrong
// with it. It fails if the stream cannot be asked.
func surveyPartition(ctx context.Context, ask asking, p events.Partition, base stated) (events.SlotRange, []error, error) {
	name := StreamName(p)
	s, err := ask(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return events.SlotRange{}, []error{&events.WrongLogError{What: "stream " + name, Want: "there", Got: "not found: the log is incomplete (annals log create completes a new one)"}}, nil
	}
	if err != nil {
		return events.SlotRange{}, nil, unavailable(name, err)
	}
	slots, objections := ofPartition(name, s.CachedInfo().Config, base)
	return slots, objections, nil
}

// ofPartition is what surveyPartition gives of a stream as it is.
func ofPartition(name string, c jetstream.StreamConfig, base stated) (events.SlotRange, []error) {
	got, err := parseMetadata(name, c.Metadata)
	if err != nil {
		return events.SlotRange{}, []error{err}
	}
	var objections []error
	if got.logID != base.logID || got.epoch != base.epoch || got.mapVersion != base.mapVersion || got.streams != base.streams {
		objections = append(objections, &events.WrongLogError{
			What: "stream " + name, Want: fmt.Sprintf("log %s epoch %d map %d of %d streams", base.logID, base.epoch, base.mapVersion, base.streams),
			Got: fmt.Sprintf("log %s epoch %d map %d of %d streams", got.logID, got.epoch, got.mapVersion, got.streams),
		})
	}
	return got.slots, append(objections, logFaults(c, subjects(got.slots))...)
}

// surveyBeside gives what is wrong with a stream beside the partitions': another
// log's, or not as it must be. It fails if the stream cannot be asked.
func surveyBeside(ctx context.Context, ask asking, name string, base stated, faultsOf func(jetstream.StreamConfig) []error) ([]error, error) {
	s, err := ask(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return []error{&events.WrongLogError{What: "stream " + name, Want: "there", Got: "not found: the log is incomplete, or of a version before it (annals log create completes it)"}}, nil
	}
	if err != nil {
		return nil, unavailable(name, err)
	}
	c := s.CachedInfo().Config
	got, _, err := parseIdentity(name, c.Metadata)
	if err != nil {
		return []error{err}, nil
	}
	var objections []error
	if got.logID != base.logID || got.epoch != base.epoch {
		objections = append(objections, &events.WrongLogError{
			What: "stream " + name, Want: fmt.Sprintf("log %s epoch %d", base.logID, base.epoch), Got: fmt.Sprintf("log %s epoch %d", got.logID, got.epoch),
		})
	}
	return append(objections, faultsOf(c)...), nil
}

// unavailable says that a stream could not be asked.
func unavailable(stream string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("stream %s: %w", stream, err)
	}
	return fmt.Errorf("%w: stream %s: %w", events.ErrUnavailable, stream, err)
}
