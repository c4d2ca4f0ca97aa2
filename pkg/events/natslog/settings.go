package natslog

import (
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/pkg/events"
)

// faults collects what is wrong with the settings of a stream.
type faults struct {
	stream string
	found  []error
}

// add notes a setting that is wrong, if it is.
func (f *faults) add(wrong bool, what, want, got string) {
	if wrong {
		f.found = append(f.found, &events.WrongLogError{What: what + " of stream " + f.stream, Want: want, Got: got})
	}
}

// heartbeatFaults are the settings of a stream that keeps more or less than the
// last heartbeat of each activity.
func heartbeatFaults(c jetstream.StreamConfig) []error {
	f := faults{stream: c.Name}
	f.add(c.MaxMsgsPerSubject != 1, "max_msgs_per_subject", "1", strconv.FormatInt(c.MaxMsgsPerSubject, 10))
	f.add(c.Discard != jetstream.DiscardOld, "discard", "old", c.Discard.String())
	f.add(c.MaxAge <= 0, "max_age", "a time after which heartbeats are forgotten", "none")
	f.add(c.MaxMsgs > 0, "max_msgs", "none", strconv.FormatInt(c.MaxMsgs, 10))
	f.add(c.MaxBytes > 0, "max_bytes", "none", strconv.FormatInt(c.MaxBytes, 10))
	f.common(c, []string{events.HeartbeatFilter})
	return f.found
}

// controlFaults are the settings of a control stream that could lose or change what
// it holds.
func controlFaults(c jetstream.StreamConfig) []error {
	return logFaults(c, []string{events.DecisionFilter})
}

// logFaults are the settings of a stream that could lose or change what it holds,
// or that would not get all that it should.
func logFaults(c jetstream.StreamConfig, want []string) []error {
	f := faults{stream: c.Name}
	f.add(!c.DenyDelete, "deny_delete", "true", "false")
	f.add(c.MaxAge != 0, "max_age", "none", c.MaxAge.String())
	f.add(c.MaxMsgsPerSubject > 0, "max_msgs_per_subject", "none", strconv.FormatInt(c.MaxMsgsPerSubject, 10))
	f.add((c.MaxMsgs > 0 || c.MaxBytes > 0) && c.Discard != jetstream.DiscardNew, "discard", "new, since the stream is limited", c.Discard.String())
	f.common(c, want)
	return f.found
}

// common are the faults that any stream of a log may have.
func (f *faults) common(c jetstream.StreamConfig, want []string) {
	f.add(c.Retention != jetstream.LimitsPolicy, "retention", "limits", c.Retention.String())
	f.add(c.Storage != jetstream.FileStorage, "storage", "file", c.Storage.String())
	f.add(c.AllowRollup, "allow_rollup_hdrs", "false", "true: any publisher could wipe the log")
	f.add(c.AllowMsgTTL, "allow_msg_ttl", "false", "true: any publisher could make messages expire")
	f.add(c.MaxMsgSize > 0, "max_msg_size", "none", strconv.Itoa(int(c.MaxMsgSize)))
	f.add(c.PersistMode == jetstream.AsyncPersistMode, "persist_mode", "default", "async: it acknowledges what is not written")
	f.add(c.SubjectTransform != nil, "subject_transform", "none", "set")
	f.add(c.Mirror != nil || len(c.Sources) > 0, "mirror and sources", "none", "set")
	f.add(c.NoAck, "no_ack", "false", "true")
	f.add(c.Sealed, "sealed", "false", "true: it takes no appends")
	f.add(!c.AllowDirect, "allow_direct", "true", "false")
	have := make(map[string]bool, len(c.Subjects))
	for _, s := range c.Subjects {
		have[s] = true
	}
	var missing []string
	for _, s := range want {
		if !have[s] {
			missing = append(missing, s)
		}
	}
	if n := len(missing); n > 0 {
		f.add(true, "subjects", missing[0], fmt.Sprintf("not among them, %d of %d are missing", n, len(want)))
		return
	}
	f.add(len(c.Subjects) != len(want), "number of subjects", strconv.Itoa(len(want)), strconv.Itoa(len(c.Subjects)))
}
