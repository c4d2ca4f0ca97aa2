package natslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
	Messages   int64           // of the partitions; those that an earlier attempt restored are among them
	Decisions  int64           // of the control stream, in the same way
	Heartbeats int64
	// Forgotten are heartbeats of the backup that are older than the log keeps
	// them, or none at all.
	Forgotten int64
}

// metaRestoring is the metadata of a stream that is being restored:
// "<epoch to come> <checksum of the manifest>". It has no other of a log's, so
// that no log can be opened.
const metaRestoring = "annals.restoring"

// restoredAtATime is how many streams are filled at a time.
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
	id, err := identify(ctx, patient(js, createAttempt, restorePatience))
	if err != nil {
		return RestoreReport{}, fmt.Errorf("restored, but it cannot be opened: %w", err)
	}
	report := RestoreReport{Identity: id, Heartbeats: r.heartbeats.Load(), Forgotten: r.forgotten.Load()}
	for p := range r.streams {
		switch r.streams[p].partition {
		case heartbeats:
		case decisions:
			report.Decisions = r.streams[p].content.Messages
		default:
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
