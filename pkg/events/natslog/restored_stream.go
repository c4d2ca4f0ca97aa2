package natslog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/backup"
)

// restoredStream is one of its streams.
type restoredStream struct {
	partition events.Partition // heartbeats and decisions for those
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

// inBackup is the partition as the backup calls it.
func (s *restoredStream) inBackup() events.Partition {
	switch s.partition {
	case heartbeats:
		return backup.Heartbeats
	case decisions:
		return backup.Control
	}
	return s.partition
}

// plan makes the configurations that the streams get in the end, and refuses
// those that no log may have.
func (r *restoring) plan(context.Context) error {
	id := r.identity
	for p := decisions; int(p) < id.Map.Partitions(); p++ {
		s := &restoredStream{partition: p}
		s.content = r.folder.Content(s.inBackup())
		if p == decisions && s.content.Name == "" { // of a log before it had any
			s.content = backup.StreamContent{Name: ControlStream, First: 1}
		}
		if s.content.Name != StreamName(p) {
			return &events.WrongLogError{What: "stream of the backup", Want: StreamName(p), Got: s.content.Name}
		}
		c := &s.final
		if len(s.content.Settings) == 0 {
			switch p {
			case heartbeats:
				*c = heartbeatConfig(id, 1, 24*time.Hour)
			case decisions:
				*c = controlConfig(id, 1)
				c.Replicas = r.replicasInBackup()
			default:
				*c = streamConfig(id, p, 1)
			}
		}
		if err := r.folder.Settings(s.inBackup(), c); err != nil {
			return fmt.Errorf("settings of stream %s: %w", s.content.Name, err)
		}
		c.Name, c.Placement, c.FirstSeq = s.content.Name, nil, 0
		if o := r.o.Replicas; o != 0 {
			c.Replicas = o
		}
		var faults []error
		switch p {
		case heartbeats:
			faults = heartbeatFaults(*c)
		case decisions:
			faults = controlFaults(*c)
		default:
			faults = logFaults(*c, subjects(id.Map.Ranges[p]))
		}
		if err := errors.Join(faults...); err != nil {
			return err
		}
		r.streams = append(r.streams, s)
	}
	return nil
}

// replicasInBackup are those that the log had, as its first partition says; 1 if
// nothing does.
func (r *restoring) replicasInBackup() int {
	var c jetstream.StreamConfig
	if err := r.folder.Settings(0, &c); err != nil {
		return 1 // the plan of that stream says what is wrong
	}
	return max(c.Replicas, 1)
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
	for m, err := range r.folder.Follow(ctx, s.inBackup(), events.FollowOptions{}) {
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
	if s.partition < 0 {
		own = func(id events.Identity, _ events.Partition) map[string]string { return besideMetadata(id) }
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
	switch s.partition {
	case heartbeats:
		return strings.SplitAfterN(events.HeartbeatFilter, ".", 2)[0]
	case decisions:
		return strings.SplitAfterN(events.DecisionFilter, ".", 2)[0]
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
	// No two heartbeats have the same subject, so their stream has its replicas at
	// once: servers that cannot have so many say so before anything is copied.
	if s.partition != heartbeats {
		c.Replicas = 1
	}
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
