package events

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// MaxNamespaceBytes and MaxWorkflowIDBytes are Temporal's limits on ids.
	MaxNamespaceBytes  = 255
	MaxWorkflowIDBytes = 1000
	// MaxRunIDBytes and MaxCommitIDBytes bound what goes into a header.
	MaxRunIDBytes    = 255
	MaxCommitIDBytes = 255
	// MaxActivityIDBytes is Temporal's limit on ids, and MaxIdentityBytes that on
	// the name of a worker.
	MaxActivityIDBytes = 1000
	MaxIdentityBytes   = 1000
	// MaxWorkflowTypeBytes is Temporal's limit on the name of a type.
	MaxWorkflowTypeBytes = 1000
	// MaxSubjectBytes bounds an encoded subject. A server closes the
	// connection at a protocol line of 4,096 bytes, and with it every other
	// append in flight.
	MaxSubjectBytes = 3900
)

const subjectPrefix = "annals"

// Ids within their limits cannot make a longer subject, even where every byte
// takes three: this does not compile if they can.
const _ = uint(MaxSubjectBytes - len(subjectPrefix+".1023..") - 3*MaxNamespaceBytes - 3*MaxWorkflowIDBytes)

// SubjectFilter matches every workflow of one slot.
func SubjectFilter(s Slot) string { return subjectPrefix + "." + s.String() + ".*.*" }

// Subject is where all commits of the workflow lie: annals.<slot>.<namespace>.<id>,
// with both ids encoded into one token each.
func (w Workflow) Subject() string {
	return subjectPrefix + "." + w.Slot().String() + "." + tokenAlphabet.escape(w.Namespace) + "." + tokenAlphabet.escape(w.ID)
}

// ParseSubject is the inverse of Workflow.Subject. It refuses a subject that
// Subject would not have made: another prefix, a token that is not encoded as
// it should be, ids out of bounds, or a slot that is not the workflow's.
func ParseSubject(subject string) (Workflow, error) {
	parts := strings.Split(subject, ".")
	if len(parts) != 4 || parts[0] != subjectPrefix {
		return Workflow{}, fmt.Errorf("subject %q is not of the form %s.<slot>.<namespace>.<workflow>", subject, subjectPrefix)
	}
	return parseWorkflow(subject, parts[1:])
}

// parseWorkflow reads slot, namespace and workflow id, the tokens of a subject.
func parseWorkflow(subject string, tokens []string) (Workflow, error) {
	ns, err := tokenAlphabet.unescape(tokens[1])
	if err != nil {
		return Workflow{}, fmt.Errorf("namespace of subject %q: %w", subject, err)
	}
	id, err := tokenAlphabet.unescape(tokens[2])
	if err != nil {
		return Workflow{}, fmt.Errorf("workflow of subject %q: %w", subject, err)
	}
	w := Workflow{Namespace: ns, ID: id}
	if err := w.Validate(); err != nil {
		return Workflow{}, fmt.Errorf("subject %q: %w", subject, err)
	}
	if want := w.Slot().String(); tokens[0] != want {
		return Workflow{}, fmt.Errorf("subject %q lies in slot %s, its workflow in %s", subject, tokens[0], want)
	}
	return w, nil
}

// Validate refuses ids that no log takes, as *InvalidError.
func (w Workflow) Validate() error {
	if err := CheckID("namespace", w.Namespace, MaxNamespaceBytes); err != nil {
		return err
	}
	return CheckID("workflowId", w.ID, MaxWorkflowIDBytes)
}

// CheckID refuses, as *InvalidError naming the field, an id that is empty, too long, not UTF-8 or holds a NUL.
func CheckID(field, s string, limit int) error {
	switch {
	case s == "":
		return &InvalidError{Field: field, Reason: "is empty"}
	case len(s) > limit:
		return &InvalidError{Field: field, Reason: fmt.Sprintf("has %d bytes, at most %d are allowed", len(s), limit)}
	case !utf8.ValidString(s):
		return &InvalidError{Field: field, Reason: "is not valid UTF-8"}
	case strings.IndexByte(s, 0) >= 0:
		return &InvalidError{Field: field, Reason: "holds a NUL byte"}
	}
	return nil
}
