package natslog

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/pkg/events"
)

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
	for _, s := range r.streams[:3] { // the decisions, the heartbeats, and the first of the partitions
		subject := s.prefix() + ">"
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
	for _, name := range slices.Sorted(maps.Keys(there)) { // so that the same log is refused with the same words
		info := there[name]
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
		if n := info.State.Consumers; n > 0 {
			return &NotEmptyError{Stream: name, Reason: fmt.Sprintf("is empty, and followed by %d: stop all programs that have this log open, and wait half a minute", n)}
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
