package events

import (
	"fmt"
	"strconv"
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
	// MaxWorkflowTypeBytes is Temporal's limit on the name of a type.
	MaxWorkflowTypeBytes = 1000
	// MaxSubjectBytes is the longest encoded subject that is accepted. A
	// server closes the connection at a protocol line of 4,096 bytes, and with
	// it every other append in flight.
	MaxSubjectBytes = 3900
)

const subjectPrefix = "annals"

// SubjectFilter matches every workflow of one slot.
func SubjectFilter(s Slot) string { return subjectPrefix + "." + s.String() + ".*.*" }

// Subject is where all commits of the workflow lie: annals.<slot>.<namespace>.<id>,
// with both ids encoded into one token each.
func (w Workflow) Subject() string {
	return subjectPrefix + "." + w.Slot().String() + "." + encodeToken(w.Namespace) + "." + encodeToken(w.ID)
}

// ParseSubject is the inverse of Workflow.Subject. It refuses a subject that
// Subject would not have made: another prefix, a token that is not encoded as
// it should be, ids out of bounds, or a slot that is not the workflow's.
func ParseSubject(subject string) (Workflow, error) {
	parts := strings.Split(subject, ".")
	if len(parts) != 4 || parts[0] != subjectPrefix {
		return Workflow{}, fmt.Errorf("subject %q is not of the form %s.<slot>.<namespace>.<workflow>", subject, subjectPrefix)
	}
	ns, err := decodeToken(parts[2])
	if err != nil {
		return Workflow{}, fmt.Errorf("namespace of subject %q: %w", subject, err)
	}
	id, err := decodeToken(parts[3])
	if err != nil {
		return Workflow{}, fmt.Errorf("workflow of subject %q: %w", subject, err)
	}
	w := Workflow{Namespace: ns, ID: id}
	if err := w.Validate(); err != nil {
		return Workflow{}, fmt.Errorf("subject %q: %w", subject, err)
	}
	if want := w.Slot().String(); parts[1] != want {
		return Workflow{}, fmt.Errorf("subject %q lies in slot %s, its workflow in %s", subject, parts[1], want)
	}
	return w, nil
}

// Validate refuses ids that no log takes, as *InvalidError.
func (w Workflow) Validate() error {
	if err := CheckID("namespace", w.Namespace, MaxNamespaceBytes); err != nil {
		return err
	}
	if err := CheckID("workflowId", w.ID, MaxWorkflowIDBytes); err != nil {
		return err
	}
	if n := len(w.Subject()); n > MaxSubjectBytes {
		return &InvalidError{Field: "workflowId", Reason: fmt.Sprintf(
			"namespace and workflow id take %d bytes as a subject, at most %d fit: bytes outside ASCII, white space and . * > %% count three each", n, MaxSubjectBytes)}
	}
	return nil
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

// plain reports whether a token holds the byte as it is. Escaped are what NATS
// gives a meaning (. * >), the escape itself, white space, control bytes and
// everything outside ASCII.
func plain(c byte) bool {
	return c > ' ' && c < 0x7f && c != '.' && c != '*' && c != '>' && c != '%'
}

const hexDigits = "0123456789ABCDEF"

// encodeToken writes s as one subject token, each byte that is not plain as
// %XX.
func encodeToken(s string) string {
	escapes := 0
	for i := range len(s) {
		if !plain(s[i]) {
			escapes++
		}
	}
	if escapes == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*escapes)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
}

// decodeToken is the inverse of encodeToken. It refuses whatever encodeToken
// would not have written, so that a workflow has one subject only.
func decodeToken(t string) (string, error) {
	if strings.IndexByte(t, '%') < 0 {
		for i := range len(t) {
			if !plain(t[i]) {
				return "", fmt.Errorf("byte %#02x at %d is not escaped", t[i], i)
			}
		}
		return t, nil
	}
	b := make([]byte, 0, len(t))
	for i := 0; i < len(t); i++ {
		c := t[i]
		if c != '%' {
			if !plain(c) {
				return "", fmt.Errorf("byte %#02x at %d is not escaped", c, i)
			}
			b = append(b, c)
			continue
		}
		if i+2 >= len(t) {
			return "", fmt.Errorf("escape at %d is cut short", i)
		}
		v, err := strconv.ParseUint(t[i+1:i+3], 16, 8)
		if err != nil || t[i+1:i+3] != strings.ToUpper(t[i+1:i+3]) {
			return "", fmt.Errorf("escape %q at %d is not two upper-case hexadecimal digits", t[i:i+3], i)
		}
		if plain(byte(v)) {
			return "", fmt.Errorf("escape %q at %d stands for a byte that needs none", t[i:i+3], i)
		}
		b = append(b, byte(v))
		i += 2
	}
	return string(b), nil
}
