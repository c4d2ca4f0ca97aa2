package events

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	decisionPrefix = "annals-control"
	// DecisionFilter matches the subjects of all decisions.
	DecisionFilter = decisionPrefix + ".*.*.*"
)

// Names within their limits make no subject that is too long: this does not
// compile if they can.
const _ = uint(MaxSubjectBytes - len(decisionPrefix+"...") - 3*MaxNamespaceBytes - MaxDecisionKindBytes - 3*MaxDecisionKeyBytes)

// Subject is where the topic's decisions lie: annals-control.<namespace>.<kind>.<key>.
func (t Topic) Subject() string {
	return decisionPrefix + "." + tokenAlphabet.escape(t.Namespace) + "." + t.Kind + "." + tokenAlphabet.escape(t.Key)
}

// parseTopic reads the subject of a decision.
func parseTopic(subject string) (Topic, error) {
	tokens := strings.Split(subject, ".")
	if len(tokens) != 4 || tokens[0] != decisionPrefix {
		return Topic{}, fmt.Errorf("the subject is not of the form %s.<namespace>.<kind>.<key>", decisionPrefix)
	}
	namespace, err := tokenAlphabet.unescape(tokens[1])
	if err != nil {
		return Topic{}, fmt.Errorf("namespace of the subject: %w", err)
	}
	key, err := tokenAlphabet.unescape(tokens[3])
	if err != nil {
		return Topic{}, fmt.Errorf("key of the subject: %w", err)
	}
	t := Topic{Namespace: namespace, Kind: tokens[2], Key: key}
	return t, t.Validate()
}

// The headers of a decision beside headerFormat, headerCommit and headerExpected.
// docs/adr/0014-control-stream.md is their specification.
const (
	kindDecision = "decision"
	headerTime   = "A-Time"  // RFC 3339, UTC, at most six digits behind the second, none that end in 0
	headerCause  = "A-Cause" // "<partition>:<sequence>"; absent without a cause
	headerBy     = "A-By"    // escaped; absent if empty
)

var knownOfDecision = map[string]bool{headerCommit: true, headerTime: true, headerCause: true, headerBy: true}

// DecisionTime is t as a decision keeps it.
func DecisionTime(t time.Time) time.Time { return t.Round(0).UTC().Truncate(time.Microsecond) }

// EncodeDecision writes the headers of a decision's message, whose body is its
// content, with the one by which the server compares and sets: previous is the
// sequence of the topic's last message, 0 for none. d must be valid.
func EncodeDecision(d *Decision, previous uint64) Header {
	h := Header{
		headerExpected: {strconv.FormatUint(previous, 10)},
		headerFormat:   {strconv.Itoa(Format) + " " + kindDecision},
		headerCommit:   {valueAlphabet.escape(string(d.CommitID))},
		headerTime:     {DecisionTime(d.Time).Format(time.RFC3339Nano)},
	}
	if d.Cause != (Position{}) {
		h[headerCause] = []string{d.Cause.String()}
	}
	if d.By != "" {
		h[headerBy] = []string{valueAlphabet.escape(d.By)}
	}
	return h
}

// DecodeDecision reads a stored message as a decision. It fails with
// *CorruptDecisionError if the message is none: written past the library,
// damaged, or of a format that this version does not know. Its kind may be one
// that this version does not know.
func DecodeDecision(m Message) (StoredDecision, error) {
	s := StoredDecision{Sequence: m.Position.Sequence}
	t, err := parseTopic(m.Subject)
	if err == nil {
		s.Topic = t
		err = s.decode(m)
	}
	if err != nil {
		return StoredDecision{Sequence: m.Position.Sequence, Decision: Decision{Topic: s.Topic}},
			&CorruptDecisionError{Topic: s.Topic, Subject: m.Subject, Sequence: m.Position.Sequence, Reason: err.Error()}
	}
	return s, nil
}

func (s *StoredDecision) decode(m Message) error {
	d := decoder{header: m.Header}
	v := d.one(headerFormat)
	if want := strconv.Itoa(Format) + " " + kindDecision; d.err == nil && v != want {
		d.fail(headerFormat, "is %q, known here is only %q", v, want)
	}
	for name := range m.Header {
		if strings.HasPrefix(name, headerPrefix) && !knownOfDecision[name] {
			d.fail(name, "is not known here")
		}
	}
	if s.Previous = d.number(headerExpected, d.one(headerExpected)); s.Previous >= m.Position.Sequence {
		d.fail(headerExpected, "is %d, which is not before %d", s.Previous, m.Position.Sequence)
	}
	s.CommitID = CommitID(d.text(headerCommit))
	at := d.one(headerTime)
	if t, err := time.Parse(time.RFC3339Nano, at); err == nil {
		s.Time = t.UTC()
	}
	if d.err == nil && DecisionTime(s.Time).Format(time.RFC3339Nano) != at {
		d.fail(headerTime, "%q is no time in RFC 3339, UTC, in microseconds", at)
	}
	if d.has(headerCause) {
		at := d.one(headerCause)
		partition, sequence, _ := strings.Cut(at, ":")
		p, err := strconv.ParseUint(partition, 10, 15)
		s.Cause = Position{Partition: Partition(p), Sequence: d.number(headerCause, sequence)}
		if d.err == nil && (err != nil || s.Cause.Sequence == 0 || s.Cause.String() != at) {
			d.fail(headerCause, "%q is no position", at)
		}
	}
	if d.has(headerBy) {
		if s.By = d.text(headerBy); s.By == "" {
			d.fail(headerBy, "is empty")
		}
	}
	if d.err != nil {
		return d.err
	}
	s.Content = m.Body
	return s.Validate()
}
