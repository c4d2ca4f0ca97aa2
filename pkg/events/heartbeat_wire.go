package events

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	heartbeatPrefix = "annals-heartbeat"
	// HeartbeatFilter matches the subjects of all heartbeats.
	HeartbeatFilter = heartbeatPrefix + ".*.*.*.*"
	// activityTokenBytes is how much of the hash of run and activity a subject
	// holds, and activityTokenLength how long that is.
	activityTokenBytes  = 16
	activityTokenLength = (activityTokenBytes*8 + 5) / 6
)

// Ids within their limits make no subject that is too long: this does not
// compile if they can.
const _ = uint(MaxSubjectBytes - len(heartbeatPrefix+".1023...") - 3*MaxNamespaceBytes - 3*MaxWorkflowIDBytes - activityTokenLength)

// HeartbeatSubject is where the activity's heartbeat lies:
// annals-heartbeat.<slot>.<namespace>.<workflow>.<token>. The token is a hash of
// run and activity, since their ids would make the subject too long.
func (a Activity) HeartbeatSubject() string {
	h := sha256.New()
	h.Write([]byte(a.RunID))
	h.Write([]byte{0})
	h.Write([]byte(a.ID))
	var sum [sha256.Size]byte
	token := base64.RawURLEncoding.EncodeToString(h.Sum(sum[:0])[:activityTokenBytes])
	w := a.Workflow
	return heartbeatPrefix + "." + w.Slot().String() + "." + tokenAlphabet.escape(w.Namespace) + "." + tokenAlphabet.escape(w.ID) + "." + token
}

// The headers of a heartbeat beside headerFormat, headerRun and headerExpected.
const (
	kindHeartbeat  = "heartbeat"
	headerActivity = "A-Activity" // the activity id, escaped
	headerAttempt  = "A-Attempt"
)

var knownOfHeartbeat = map[string]bool{headerRun: true, headerActivity: true, headerAttempt: true}

// HeartbeatTime is t as a heartbeat keeps it.
func HeartbeatTime(t time.Time) time.Time { return t.Round(0).UTC().Truncate(time.Microsecond) }

// EncodeHeartbeat writes the message of a heartbeat, with the header by which
// the server compares and sets: previous is the sequence of the activity's last
// message, 0 for none. h must be valid; see Heartbeat.Validate.
func EncodeHeartbeat(h *Heartbeat, previous uint64) (Header, []byte, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(&workflowpb.PendingActivityInfo{
		ActivityId: h.Activity.ID, Attempt: h.Attempt, HeartbeatDetails: h.Details,
		LastHeartbeatTime: timestamppb.New(HeartbeatTime(h.Time)), LastFailure: h.LastFailure, LastWorkerIdentity: h.Identity,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("heartbeat of %s: %w", h.Activity, err)
	}
	return Header{
		headerExpected: {strconv.FormatUint(previous, 10)},
		headerFormat:   {strconv.Itoa(Format) + " " + kindHeartbeat},
		headerRun:      {valueAlphabet.escape(string(h.Activity.RunID))},
		headerActivity: {valueAlphabet.escape(h.Activity.ID)},
		headerAttempt:  {strconv.FormatInt(int64(h.Attempt), 10)},
	}, body, nil
}

// DecodeHeartbeat reads a stored message as a heartbeat. It fails with
// *CorruptHeartbeatError if the message is none: written past the library,
// damaged, or of a format that this version does not know. Fields of the body
// that a heartbeat does not use are ignored.
func DecodeHeartbeat(m Message) (StoredHeartbeat, error) {
	w, err := heartbeatWorkflow(m.Subject)
	var h Heartbeat
	if err == nil {
		h, err = decodeHeartbeat(w, m)
	}
	if err != nil {
		return StoredHeartbeat{Sequence: m.Position.Sequence},
			&CorruptHeartbeatError{Workflow: w, Subject: m.Subject, Sequence: m.Position.Sequence, Reason: err.Error()}
	}
	return StoredHeartbeat{Heartbeat: h, Sequence: m.Position.Sequence}, nil
}

// heartbeatWorkflow reads the workflow of a heartbeat's subject.
func heartbeatWorkflow(subject string) (Workflow, error) {
	tokens := strings.Split(subject, ".")
	if len(tokens) != 5 || tokens[0] != heartbeatPrefix {
		return Workflow{}, fmt.Errorf("the subject is not of the form %s.<slot>.<namespace>.<workflow>.<token>", heartbeatPrefix)
	}
	return parseWorkflow(subject, tokens[1:])
}

func decodeHeartbeat(w Workflow, m Message) (Heartbeat, error) {
	d := decoder{header: m.Header}
	d.heartbeatFormat()
	for name := range m.Header {
		if strings.HasPrefix(name, headerPrefix) && !knownOfHeartbeat[name] {
			d.fail(name, "is not known here")
		}
	}
	if n := d.number(headerExpected, d.one(headerExpected)); n >= m.Position.Sequence {
		d.fail(headerExpected, "is %d, which is not before %d", n, m.Position.Sequence)
	}
	a := Activity{Workflow: w, RunID: RunID(d.text(headerRun)), ID: d.text(headerActivity)}
	attempt := d.number(headerAttempt, d.one(headerAttempt))
	if d.err != nil {
		return Heartbeat{}, d.err
	}
	var info workflowpb.PendingActivityInfo
	if err := proto.Unmarshal(m.Body, &info); err != nil {
		return Heartbeat{}, fmt.Errorf("the body is no PendingActivityInfo: %w", err)
	}
	h := Heartbeat{
		Activity: a, Attempt: info.Attempt, Details: info.HeartbeatDetails, LastFailure: info.LastFailure, Identity: info.LastWorkerIdentity,
	}
	switch {
	case info.ActivityId != a.ID:
		return Heartbeat{}, fmt.Errorf("the body is of activity %.80q, the headers are of %.80q", info.ActivityId, a.ID)
	case attempt != uint64(info.Attempt):
		return Heartbeat{}, fmt.Errorf("the body is of attempt %d, the headers are of %d", info.Attempt, attempt)
	case info.LastHeartbeatTime == nil:
		return Heartbeat{}, fmt.Errorf("the body has no last_heartbeat_time")
	case info.LastHeartbeatTime.CheckValid() != nil:
		return Heartbeat{}, fmt.Errorf("the body's last_heartbeat_time is none: %w", info.LastHeartbeatTime.CheckValid())
	}
	if h.Time = info.LastHeartbeatTime.AsTime(); !h.Time.Equal(HeartbeatTime(h.Time)) {
		return Heartbeat{}, fmt.Errorf("the body's last_heartbeat_time has fractions of a microsecond")
	}
	if err := h.Validate(); err != nil {
		return Heartbeat{}, err
	}
	if want := a.HeartbeatSubject(); m.Subject != want {
		return Heartbeat{}, fmt.Errorf("%s belongs on subject %s", a, want)
	}
	return h, nil
}

func (d *decoder) heartbeatFormat() {
	v := d.one(headerFormat)
	if want := strconv.Itoa(Format) + " " + kindHeartbeat; d.err == nil && v != want {
		d.fail(headerFormat, "is %q, known here is only %q", v, want)
	}
}
