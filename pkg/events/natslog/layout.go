package natslog

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/pkg/events"
)

const streamPrefix = "ANNALS_"

// HeartbeatStream is the stream of the log's heartbeats.
const HeartbeatStream = streamPrefix + "HEARTBEATS"

// ControlStream is the stream of the log's decisions that are no events.
const ControlStream = streamPrefix + "CONTROL"

// heartbeats is that stream where this package asks for a partition, so that
// requests, consumers and answers are the same for it. No caller sees it or may
// name it.
const heartbeats events.Partition = -1

// decisions is the control stream, in the same way.
const decisions events.Partition = -2

// StreamName is the stream of a partition.
func StreamName(p events.Partition) string {
	switch p {
	case heartbeats:
		return HeartbeatStream
	case decisions:
		return ControlStream
	}
	if p >= 0 && int(p) < len(streamNames) {
		return streamNames[p]
	}
	return fmt.Sprintf("%s%02d", streamPrefix, int(p))
}

// streamNames are those of all partitions that a log may have.
var streamNames = func() (names [events.Slots]string) {
	for p := range names {
		names[p] = fmt.Sprintf("%s%02d", streamPrefix, p)
	}
	return names
}()

// The metadata of every stream of a log.
const (
	metaFormat     = "annals.format"
	metaLogID      = "annals.log-id"
	metaEpoch      = "annals.epoch"
	metaMapVersion = "annals.map-version"
	metaStreams    = "annals.streams"
	metaSlots      = "annals.slots" // "<first>-<end>", end exclusive
)

// metadata is what partition p's stream says about the log.
func metadata(id events.Identity, p events.Partition) map[string]string {
	r := id.Map.Ranges[p]
	return map[string]string{
		metaFormat:     strconv.Itoa(id.Format),
		metaLogID:      id.LogID,
		metaEpoch:      strconv.FormatUint(uint64(id.Epoch), 10),
		metaMapVersion: strconv.Itoa(id.Map.Version),
		metaStreams:    strconv.Itoa(id.Map.Partitions()),
		metaSlots:      fmt.Sprintf("%d-%d", r.First, r.End),
	}
}

// LogIDOf is the id of the log that a stream with this metadata belongs to; empty:
// it is none of a log.
func LogIDOf(metadata map[string]string) string { return metadata[metaLogID] }

// besideMetadata is what a stream beside the partitions' says about the log.
func besideMetadata(id events.Identity) map[string]string {
	return map[string]string{
		metaFormat: strconv.Itoa(id.Format),
		metaLogID:  id.LogID,
		metaEpoch:  strconv.FormatUint(uint64(id.Epoch), 10),
	}
}

// stated is what one stream's metadata says.
type stated struct {
	logID      string
	epoch      uint32
	format     int
	mapVersion int
	streams    int
	slots      events.SlotRange
}

// parseMetadata reads the metadata of a partition's stream.
func parseMetadata(stream string, m map[string]string) (stated, error) {
	s, number, err := parseIdentity(stream, m)
	if err != nil {
		return stated{}, err
	}
	if s.mapVersion, err = number(metaMapVersion); err != nil {
		return stated{}, err
	}
	if s.streams, err = number(metaStreams); err != nil {
		return stated{}, err
	}
	first, end, ok := strings.Cut(m[metaSlots], "-")
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(end, 10, 16)
	if !ok || errA != nil || errB != nil {
		return stated{}, &events.WrongLogError{What: "metadata " + metaSlots + " of stream " + stream, Want: "<first>-<end>", Got: strconv.Quote(m[metaSlots])}
	}
	s.slots = events.SlotRange{First: events.Slot(a), End: events.Slot(b)}
	return s, nil
}

// parseIdentity reads what every stream of a log says: which log it is. It
// gives what reads the other numbers, too.
func parseIdentity(stream string, m map[string]string) (s stated, number func(key string) (int, error), err error) {
	if m[metaRestoring] != "" {
		return stated{}, nil, &events.WrongLogError{What: "stream " + stream, Want: "a stream of a log", Got: "of a restore that is under way or was not completed: annals log restore --resume goes on with it"}
	}
	if m[metaLogID] == "" {
		return stated{}, nil, &events.WrongLogError{What: "stream " + stream, Want: "a stream of a log", Got: "without " + metaLogID + " in its metadata"}
	}
	number = func(key string) (int, error) {
		n, err := strconv.Atoi(m[key])
		if err != nil {
			return 0, &events.WrongLogError{What: "metadata " + key + " of stream " + stream, Want: "a number", Got: strconv.Quote(m[key])}
		}
		return n, nil
	}
	s.logID = m[metaLogID]
	epoch, err := number(metaEpoch)
	if err != nil {
		return stated{}, nil, err
	}
	if epoch < 1 || int64(epoch) > math.MaxUint32 {
		return stated{}, nil, &events.WrongLogError{What: "metadata " + metaEpoch + " of stream " + stream, Want: "1 to 4294967295", Got: strconv.Itoa(epoch)}
	}
	s.epoch = uint32(epoch)
	if s.format, err = number(metaFormat); err != nil {
		return stated{}, nil, err
	}
	if s.format != events.Format {
		return stated{}, nil, &events.WrongLogError{What: "format of stream " + stream, Want: strconv.Itoa(events.Format), Got: strconv.Itoa(s.format)}
	}
	return s, number, nil
}

// subjects are what a stream that owns these slots listens to.
func subjects(r events.SlotRange) []string {
	out := make([]string, 0, r.End-r.First)
	for s := r.First; s < r.End; s++ {
		out = append(out, events.SubjectFilter(s))
	}
	return out
}

// streamConfig is the stream of a partition: it keeps everything, denies
// deletes and rollups, and lets no publisher make messages expire.
func streamConfig(id events.Identity, p events.Partition, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        StreamName(p),
		Description: "Annals: histories of workflows. The source of truth; do not purge.",
		Subjects:    subjects(id.Map.Ranges[p]),
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		Discard:     jetstream.DiscardNew,
		DenyDelete:  true,
		AllowDirect: true,
		Metadata:    metadata(id, p),
	}
}

// heartbeatConfig is the stream of heartbeats: it keeps the last message of each
// activity, until it is too old. Deletes are not denied: an operator may have to
// delete a message that is no heartbeat.
func heartbeatConfig(id events.Identity, replicas int, age time.Duration) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              HeartbeatStream,
		Description:       "Annals: the last heartbeat of each activity.",
		Subjects:          []string{events.HeartbeatFilter},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		Discard:           jetstream.DiscardOld,
		MaxMsgsPerSubject: 1,
		MaxAge:            age,
		AllowDirect:       true,
		Metadata:          besideMetadata(id),
	}
}

// controlConfig is the control stream: it keeps everything, and is protected as
// those of the partitions are.
func controlConfig(id events.Identity, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        ControlStream,
		Description: "Annals: decisions that are no events. A source of truth; do not purge.",
		Subjects:    []string{events.DecisionFilter},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		Discard:     jetstream.DiscardNew,
		DenyDelete:  true,
		AllowDirect: true,
		Metadata:    besideMetadata(id),
	}
}
