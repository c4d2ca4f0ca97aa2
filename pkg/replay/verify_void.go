package replay

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/annals-io/annals/pkg/events"
)

// suspect is what lies behind the last valid commit of a workflow: differences,
// unless a void says that it is void.
type suspect struct {
	// valid is where the workflow stood before.
	valid                           end
	messages, commits, events, runs int64
	found                           []Difference
}

// doubt notes a message that does not follow from the commit before it: one that
// is no commit at all if c is nil.
func (e *end) doubt(c *events.Commit, d Difference) {
	if e.suspect == nil {
		e.suspect = &suspect{valid: *e}
		e.suspect.valid.runs = maps.Clone(e.runs)
		if c != nil {
			e.suspect.count(c)
		}
	}
	if c == nil {
		e.suspect.messages++
	}
	e.suspect.found = append(e.suspect.found, d)
}

// found reports what is wrong with a workflow, behind a suspect once it is known
// that no void covers it.
func (v *verifying) found(e *end, d Difference) {
	if e.suspect != nil {
		e.suspect.found = append(e.suspect.found, d)
		return
	}
	v.differs(d)
}

// count notes what looks like a commit and may be void.
func (s *suspect) count(c *events.Commit) {
	s.messages++
	s.commits++
	s.events += int64(c.Count())
	for _, part := range []*events.Segment{c.Closed, &c.Run} {
		if part != nil && part.Opens() {
			s.runs++
		}
	}
}

// void checks a void against the messages before it. One that holds makes them
// what they are, void, and the workflow goes on from where it stood before them.
func (v *verifying) void(c *events.Commit, e *end) {
	s := e.suspect
	d := Difference{Workflow: c.Workflow, Run: c.Run.Run, Position: c.Position}
	switch {
	case s == nil:
		d.Kind, d.Detail = KindVoid, fmt.Sprintf("it declares %d messages void that are commits, up to %d", c.Void.Messages, c.Void.Last)
		v.differs(d)
	case c.Hash != c.ChainHash(s.valid.hash) || int64(c.Void.Messages) != s.messages:
		d.Kind, d.Detail = KindVoid, fmt.Sprintf("it declares %d messages void, up to %d, and there are %d that are no commits; or its hash does not follow from the commit before them", c.Void.Messages, c.Void.Last, s.messages)
		s.count(c)
		s.found = append(s.found, d)
	default:
		v.report.Commits -= s.commits
		v.report.Events -= s.events
		v.report.Runs -= s.runs
		v.report.Voided += s.messages
		*e = s.valid
		if !slices.Equal(c.Back, e.back) || !c.Voids(e.run) {
			d.Kind, d.Detail = KindEnvelope, fmt.Sprintf("it goes on with run %s after event %d behind %d, the log has run %s after event %d behind %d", c.Run.Run, c.Run.Last, c.Back, e.run.Run, e.run.Last, e.back)
			v.differs(d)
		}
	}
	e.broken = false
	e.hash, e.run, e.back = c.Hash, c.Run, c.Cursor(v.log.Identity()).Back()
}

// condemn makes differences of all that no void covers.
func (v *verifying) condemn() {
	var found []Difference
	for _, e := range v.ends {
		if e.suspect != nil {
			found = append(found, e.suspect.found...)
		}
	}
	slices.SortFunc(found, func(a, b Difference) int { return cmp.Compare(a.Position.Sequence, b.Position.Sequence) })
	for _, d := range found {
		v.differs(d)
	}
}
