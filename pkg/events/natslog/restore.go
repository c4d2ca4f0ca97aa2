package natslog

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
)

// RestoreOptions say how a log is restored. Zero fields mean the default.
type RestoreOptions struct {
	Replicas int // of every stream, 1 to 5; as many as the log had
	// Resume goes on with a restore of the same backup that was not completed.
	Resume bool
	// Progress, if set, is told about messages that are stored. It is called
	// from several goroutines.
	Progress func(messages int)
	// Logger gets what takes its time; slog.Default().
	Logger *slog.Logger
}

// RestoreReport is what was restored.
type RestoreReport struct {
	Identity   events.Identity // with the epoch that the restore minted
	Messages   int64           // of the log's streams; those that an earlier attempt restored are among them
	Heartbeats int64
	// Forgotten are heartbeats of the backup that are older than the log keeps
	// them, or none at all.
	Forgotten int64
}

// metaRestoring is the metadata of a stream that is being restored:
// "<epoch to come> <checksum of the manifest>". It has no other of a log's, so
// that no log can be opened.
const metaRestoring = "annals.restoring"

// restored is how many streams are filled at a time.
const restoredAtATime = 4

// Restore makes a log of a backup, where there is none or an empty one: the same
// messages at the same sequences, with a new epoch, so that everything that has
// a position or a cursor of the log as it was is refused. It checks the whole
// backup before it begins. See docs/adr/0011-backup.md for what is kept and what
// is not.
//
// While it is under way the streams listen to subjects that nobody else knows,
// and are no log. It becomes one in the last step. A restore that ended before
// leaves streams that cannot be opened: see ErrUnfinished.
//
// It fails with ErrNotEmpty, ErrUnfinished, ErrSpoiled, backup.ErrDamaged, or an
// error of the server. The streams are filled as streams of one replica, and get
// the others before the log is opened to its users: no order is kept between
// messages that several replicas have in flight for one subject.
func Restore(ctx context.Context, js jetstream.JetStream, f *backup.Folder, o RestoreOptions) (RestoreReport, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Replicas < 0 || o.Replicas > 5 {
		return RestoreReport{}, &events.InvalidError{Field: "replicas", Reason: fmt.Sprintf("is %d, a stream has 1 to 5", o.Replicas)}
	}
	if format := f.Identity().Format; format != events.Format {
		return RestoreReport{}, &events.WrongLogError{What: "format of the log in the backup", Want: strconv.Itoa(events.Format), Got: strconv.Itoa(format)}
	}
	r := &restoring{js: js, folder: f, o: o, identity: f.Identity()}
	for _, step := range []func(context.Context) error{r.plan, f.Check, r.findStubs, r.begin, r.fill, r.open} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return RestoreReport{}, err
		}
	}
	id, err := identify(ctx, js)
	if err != nil {
		return RestoreReport{}, fmt.Errorf("restored, but it cannot be opened: %w", err)
	}
	report := RestoreReport{Identity: id, Heartbeats: r.heartbeats.Load(), Forgotten: r.forgotten.Load()}
	for p := range r.streams {
		if r.streams[p].partition != heartbeats {
			report.Messages += r.streams[p].content.Messages
		}
	}
	return report, nil
}

// restoring is one restore.
type restoring struct {
	js       jetstream.JetStream
	folder   *backup.Folder
	o        RestoreOptions
	identity events.Identity // as it will be
	streams  []*restoredStream
	resumed  bool

	heartbeats, forgotten atomic.Int64
}

// restoredStream is one of its streams.
type restoredStream struct {
	partition events.Partition // heartbeats for that one
	content   backup.StreamContent
	final     jetstream.StreamConfig
	done      bool // it has its final configuration

	// start is the first sequence that is published: content.First, or one
	// before it that a message of the backup follows.
	start uint64
	// stubs are the subjects, without the prefix, of missing messages that others
	// of the backup follow: a server stores these only if those are there.
	stubs map[uint64]string
}

// all is the partition as the backup calls it.
func (s *restoredStream) inBackup() events.Partition {
	if s.partition == heartbeats {
		return backup.Heartbeats
	}
	return s.partition
}

// plan makes the configurations that the streams get in the end, and refuses
// those that no log may have.
func (r *restoring) plan(context.Context) error {
	id := r.identity
	for p := heartbeats; int(p) < id.Map.Partitions(); p++ {
		s := &restoredStream{partition: p}
		s.content = r.folder.Content(s.inBackup())
		if s.content.Name != StreamName(p) {
			return &events.WrongLogError{What: "stream of the backup", Want: StreamName(p), Got: s.content.Name}
		}
		c := &s.final
		if len(s.content.Settings) == 0 {
			*c = streamConfig(id, max(p, 0), 1)
			if p == heartbeats {
				*c = heartbeatConfig(id, 1, 24*time.Hour)
			}
		}
		if err := r.folder.Settings(s.inBackup(), c); err != nil {
			return fmt.Errorf("settings of stream %s: %w", s.content.Name, err)
		}
		c.Name, c.Placement, c.FirstSeq = s.content.Name, nil, 0
		if o := r.o.Replicas; o != 0 {
			c.Replicas = o
		}
		if p == heartbeats {
			if err := checkHeartbeatSettings(*c); err != nil {
				return err
			}
		} else {
			if err := checkSettings(*c, subjects(id.Map.Ranges[p])); err != nil {
				return err
			}
		}
		r.streams = append(r.streams, s)
	}
	return nil
}

// findStubs finds out which missing messages others follow.
func (r *restoring) findStubs(ctx context.Context) error {
	for _, s := range r.streams {
		if err := r.findStubsOf(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (r *restoring) findStubsOf(ctx context.Context, s *restoredStream) error {
	s.start = s.content.First
	if s.partition == heartbeats || s.whole() && s.start == 1 {
		return nil
	}
	s.stubs = map[uint64]string{}
	has := map[string]uint64{} // the last message of each subject
	for m, err := range r.folder.Follow(ctx, s.partition, events.FollowOptions{}) {
		if err != nil {
			return err
		}
		if v := m.Header[expectedHeader]; len(v) == 1 {
			n, err := strconv.ParseUint(v[0], 10, 64)
			if err == nil && n > 0 && n != has[m.Subject] {
				s.stubs[n] = strings.TrimPrefix(m.Subject, s.prefix())
				s.start = min(s.start, n)
			}
		}
		has[m.Subject] = m.Position.Sequence
	}
	return nil
}

// whole reports whether the backup has no gap between its first and last sequence.
func (s *restoredStream) whole() bool {
	return s.content.Messages == int64(s.content.Last+1-s.content.First)
}

// ours are the metadata of a stream that are neither a log's nor the server's.
func ours(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		if !strings.HasPrefix(k, "annals.") && !strings.HasPrefix(k, "_nats.") {
			out[k] = v
		}
	}
	return out
}

// finalConfig is what the stream is once the log is whole.
func (r *restoring) finalConfig(s *restoredStream) jetstream.StreamConfig {
	c := s.final
	c.FirstSeq = r.restoringConfig(s).FirstSeq
	own := metadata
	if s.partition == heartbeats {
		own = func(id events.Identity, _ events.Partition) map[string]string { return heartbeatMetadata(id) }
	}
	c.Metadata = ours(c.Metadata)
	for k, v := range own(r.identity, s.partition) {
		c.Metadata[k] = v
	}
	return c
}

// The subjects that a stream listens to while it is restored.
func (s *restoredStream) restoreSubject() string { return "annals-restore." + s.content.Name + ".m." }

func (s *restoredStream) fillerSubject() string { return "annals-restore." + s.content.Name + ".gap" }

// prefix begins the subjects of the stream's messages.
func (s *restoredStream) prefix() string {
	if s.partition == heartbeats {
		return strings.SplitAfterN(events.HeartbeatFilter, ".", 2)[0]
	}
	return strings.SplitAfterN(events.SubjectFilter(0), ".", 2)[0]
}

// duplicates is the least window in which a server knows message ids again:
// commits have none.
const duplicates = 100 * time.Millisecond

// restoringConfig is what the stream is until then: it takes messages on
// subjects of its own, which it stores under those that they have.
func (r *restoring) restoringConfig(s *restoredStream) jetstream.StreamConfig {
	c := s.final
	c.Replicas = 1
	c.Subjects = []string{s.restoreSubject() + ">", s.fillerSubject()}
	c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: s.restoreSubject() + ">", Destination: s.prefix() + ">"}
	c.RePublish = nil
	c.DenyDelete, c.DenyPurge = false, false
	if s.start > 1 && s.partition != heartbeats {
		c.FirstSeq = s.start
	}
	c.Duplicates = duplicates
	c.Metadata = map[string]string{metaRestoring: fmt.Sprintf("%d %s", r.identity.Epoch, r.folder.Sum)}
	return c
}

// begin finds out what is there, and makes the streams that are not.
func (r *restoring) begin(ctx context.Context) error {
	there, err := r.there(ctx)
	if err != nil {
		return err
	}
	if err := r.mayBegin(ctx, there); err != nil {
		return err
	}
	if !r.resumed {
		if r.identity.Epoch, err = mintEpoch(r.identity.Epoch); err != nil {
			return err
		}
	}
	for _, s := range r.streams {
		config := r.restoringConfig(s)
		info := there[s.content.Name]
		if s.done {
			continue
		}
		if info != nil {
			if _, begun := info.Config.Metadata[metaRestoring]; begun && r.resumed && s.partition != heartbeats {
				continue
			}
			if err := r.clear(ctx, s, info); err != nil {
				return err
			}
		}
		if _, err := ensureStream(ctx, r.js, config); err != nil {
			return err
		}
	}
	return nil
}

// there are the streams of this server's account that a log has or its subjects
// reach.
func (r *restoring) there(ctx context.Context) (map[string]*jetstream.StreamInfo, error) {
	there := map[string]*jetstream.StreamInfo{}
	list := r.js.ListStreams(ctx)
	for info := range list.Info() {
		if strings.HasPrefix(info.Config.Name, streamPrefix) {
			there[info.Config.Name] = info
		}
	}
	if err := list.Err(); err != nil {
		return nil, unavailable(streamPrefix+"*", err)
	}
	for _, subject := range []string{r.streams[0].prefix() + ">", r.streams[1].prefix() + ">"} {
		names := r.js.StreamNames(ctx, jetstream.WithStreamListSubject(subject))
		for name := range names.Name() {
			if there[name] == nil {
				return nil, &NotEmptyError{Stream: name, Reason: "listens to subjects of the log, " + subject}
			}
		}
		if err := names.Err(); err != nil {
			return nil, unavailable(streamPrefix+"*", err)
		}
	}
	return there, nil
}

// mayBegin refuses to restore where there is a log, or another restore.
func (r *restoring) mayBegin(ctx context.Context, there map[string]*jetstream.StreamInfo) error {
	known := map[string]*restoredStream{}
	for _, s := range r.streams {
		known[s.content.Name] = s
	}
	for name, info := range there {
		state, isRestoring := info.Config.Metadata[metaRestoring]
		if !isRestoring {
			continue
		}
		epoch, sum, _ := strings.Cut(state, " ")
		n, err := strconv.ParseUint(epoch, 10, 32)
		switch {
		case !r.o.Resume && info.State.Msgs == 0 && info.State.LastSeq <= info.Config.FirstSeq:
			continue // nothing is lost if it begins anew
		case !r.o.Resume:
			return fmt.Errorf("%w: stream %s: go on with it (--resume), or delete the streams %s*", ErrUnfinished, name, streamPrefix)
		case err != nil || sum != r.folder.Sum || r.resumed && uint32(n) != r.identity.Epoch || known[name] == nil:
			return fmt.Errorf("%w: stream %s is of a restore from another backup than the one in %s, or of a state of it that has changed since", ErrUnfinished, name, r.folder.Dir)
		}
		r.resumed, r.identity.Epoch = true, uint32(n)
	}
	if r.o.Resume && !r.resumed {
		return fmt.Errorf("%w: no restore is under way: there is nothing to resume", events.ErrNotFound)
	}
	for name, info := range there {
		if _, ok := info.Config.Metadata[metaRestoring]; ok {
			continue
		}
		// Of a restore that was ended in its last step, some streams are what
		// they will be.
		if s := known[name]; r.resumed && s != nil {
			at, _, err := parseIdentity(name, info.Config.Metadata)
			if err == nil && at.logID == r.identity.LogID && at.epoch == r.identity.Epoch {
				s.done = true
				continue
			}
		}
		if info.State.Msgs > 0 {
			return &NotEmptyError{Stream: name, Messages: info.State.Msgs}
		}
		if known[name] == nil {
			return &NotEmptyError{Stream: name, Reason: "is of a log with other streams: delete it"}
		}
	}
	return nil
}

// clear deletes an empty stream: first nobody may reach it any more.
func (r *restoring) clear(ctx context.Context, s *restoredStream, info *jetstream.StreamInfo) error {
	if _, ok := info.Config.Metadata[metaRestoring]; !ok {
		c := info.Config
		c.Subjects = []string{s.restoreSubject() + "none"}
		if err := r.update(ctx, c); err != nil {
			return fmt.Errorf("stream %s, which is empty: %w", c.Name, err)
		}
		now, err := r.stream(ctx, c.Name)
		if err != nil {
			return err
		}
		if n := now.CachedInfo().State.Msgs; n > 0 {
			if err := r.update(ctx, info.Config); err != nil {
				return fmt.Errorf("stream %s was empty and is not any more; to give it its subjects back: %w", c.Name, err)
			}
			return &NotEmptyError{Stream: c.Name, Messages: n}
		}
	}
	if err := r.js.DeleteStream(ctx, s.content.Name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("delete the empty stream %s: %w", s.content.Name, err)
	}
	return nil
}

// epochGrowth is how far a restore raises the epoch at most.
const epochGrowth = 1 << 22

// mintEpoch gives the epoch after a restore: greater, and by chance so that two
// restores of one backup do not have the same one.
func mintEpoch(old uint32) (uint32, error) {
	if old > math.MaxInt32-epochGrowth {
		return 0, &events.WrongLogError{What: "epoch of the backup", Want: fmt.Sprintf("at most %d", math.MaxInt32-epochGrowth), Got: strconv.FormatUint(uint64(old), 10)}
	}
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, err
	}
	return old + 1 + binary.LittleEndian.Uint32(b[:])%epochGrowth, nil
}

// patiently asks the server again where it gives no answer.
func patiently(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, restorePatience)
	defer cancel()
	return backoff.Retry(func() error {
		attempt, cancel := context.WithTimeout(ctx, createAttempt)
		defer cancel()
		err := ask(attempt)
		if err != nil && !passes(err) && !errors.Is(err, nats.ErrConnectionReconnecting) && !errors.Is(err, nats.ErrDisconnected) && !errors.Is(err, nats.ErrReconnectBufExceeded) {
			err = backoff.Permanent(err)
		}
		return err
	}, retry(ctx))
}

// stream asks for a stream as it is.
func (r *restoring) stream(ctx context.Context, name string) (stream jetstream.Stream, err error) {
	err = patiently(ctx, func(ctx context.Context) (err error) {
		stream, err = r.js.Stream(ctx, name)
		return err
	})
	if err != nil {
		return nil, unavailable(name, err)
	}
	return stream, nil
}

func (r *restoring) update(ctx context.Context, c jetstream.StreamConfig) error {
	return patiently(ctx, func(ctx context.Context) error {
		_, err := r.js.UpdateStream(ctx, c)
		return err
	})
}

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
)

// fillPatiently fills a stream, over connection after connection if need be.
func (r *restoring) fillPatiently(ctx context.Context, s *restoredStream) error {
	var since time.Time // when it last got further
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
		r.o.Logger.LogAttrs(ctx, slog.LevelWarn, "restoring: interrupted, going on", slog.String("stream", s.content.Name), slog.Any("error", err))
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

// open gives the streams their replicas, and then makes a log of them.
func (r *restoring) open(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(restoredAtATime)
	for _, s := range r.streams {
		if s.done || s.final.Replicas == 1 {
			continue
		}
		g.Go(func() error {
			if err := r.replicate(gctx, s); err != nil {
				return fmt.Errorf("replicas of stream %s: %w", s.content.Name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	// The first partition says which log it is, so it comes last.
	for p := len(r.streams) - 1; p >= 0; p-- {
		if s := r.streams[p]; s.partition != 0 && !s.done {
			if err := r.finish(ctx, s); err != nil {
				return err
			}
		}
	}
	for _, s := range r.streams {
		if s.partition == 0 {
			return r.finish(ctx, s)
		}
	}
	return nil
}

func (r *restoring) finish(ctx context.Context, s *restoredStream) error {
	if err := r.update(ctx, r.finalConfig(s)); err != nil {
		return fmt.Errorf("complete stream %s: %w", s.content.Name, err)
	}
	return nil
}

// replicaPatience is how long replicas may get no further.
const replicaPatience = 2 * time.Minute

// replicate gives the stream its replicas, and waits until they have all of it.
func (r *restoring) replicate(ctx context.Context, s *restoredStream) error {
	c := r.restoringConfig(s)
	c.Replicas = s.final.Replicas
	if err := r.update(ctx, c); err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	least, since := uint64(math.MaxUint64), time.Now()
	for {
		lag := uint64(math.MaxUint64)
		if stream, err := r.js.Stream(ctx, c.Name); err == nil {
			lag = behind(stream.CachedInfo(), c.Replicas)
		}
		if lag == 0 {
			return nil
		}
		if lag < least {
			least, since = lag, time.Now()
		}
		if time.Since(since) > replicaPatience {
			return fmt.Errorf("%w: they have got no further for %s", events.ErrUnavailable, replicaPatience)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// behind is how many messages the replicas still lack, and 0 only if all are
// there and current.
func behind(info *jetstream.StreamInfo, replicas int) uint64 {
	if info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) < replicas-1 {
		return math.MaxUint64 - 1
	}
	lag := uint64(0)
	for _, p := range info.Cluster.Replicas {
		lag += p.Lag
		if !p.Current || p.Offline {
			lag++
		}
	}
	return lag
}
