package subjectlog

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/annals-io/annals/pkg/events"
)

// A history is read by the sequences that its commits name, from its end
// backwards, if it has few commits, or lies sparsely among others: docs/adr/0021.
// Else the server looks for them, forwards.
const (
	// nearCommits and nearBytes are how much is kept until the first commit is there.
	nearCommits = 1024
	nearBytes   = 4 << 20
	// sparse is how many messages of others a server passes in the time that one more
	// takes that is named, compared with one of a page; sparser, with one of a consumer,
	// by which so many commits are read.
	sparse          = 128
	sparser         = 512
	consumedCommits = 512
	// manyCommits are parsed by more than one goroutine.
	manyCommits = 256
)

// errUnfit: the commit that a cursor names is not in the log.
var errUnfit = errors.New("the log has not got the commit that the cursor names")

// named reports whether c is known by a cursor only: its Back is the cursor's, which
// begins with its own sequence, and it has no body.
func named(c *events.Commit) bool { return c.Kind == 0 }

// namedBy is the commit of a cursor.
func namedBy(at events.Cursor) *events.Commit {
	return &events.Commit{
		Workflow: at.Workflow(), Position: at.Position(), Hash: at.Hash(), Back: at.Back(),
		Run: events.Segment{
			Run: at.Run(), First: at.LastEventID(), Last: at.LastEventID(), Type: at.WorkflowType(),
			Before: at.Status(), After: at.Status(), Size: at.Size(), RunFirst: at.RunFirst(), PrevRunFirst: at.PrevRunFirst(),
		},
	}
}

// forwards yields the commits of the span in order, or those after r.o.After, each
// once it is known to follow from the one before it: from its first, or a later one
// that begins with from or before it.
func (r *reading) forwards(ctx context.Context, from events.EventID) iter.Seq2[link, error] {
	return func(yield func(link, error) bool) {
		about, near := r.plan(from)
		if near {
			links, err := r.near(ctx, from, about)
			for _, k := range links {
				if !yield(k, nil) {
					return
				}
			}
			if err != nil {
				yield(link{}, err)
			}
			if err != nil || links != nil {
				return
			}
		}
		s := scanning{from: before(r.span.end, r.span.first), first: r.span.first, to: r.span.last, about: about}
		if r.after != nil {
			s.from, s.first, s.after = r.begin(), r.begin(), r.after
		}
		s.wanted = r.wants(from)
		if named(r.span.end) {
			s.end = &r.span.end.Hash
		}
		for k, err := range r.chained(ctx, r.w, s) {
			if !yield(k, err) {
				return
			}
		}
	}
}

// begin is the sequence from which on commits are read.
func (r *reading) begin() uint64 {
	if r.after != nil {
		return r.after.Position.Sequence + 1
	}
	return r.span.first
}

// plan is about how many commits there are to read, and whether they are read by
// what they name.
func (r *reading) plan(from events.EventID) (about int, near bool) {
	end := r.span.end
	first := r.begin()
	width := end.Position.Sequence - first + 1
	commits := width
	if n := len(end.Back); n > 0 {
		gap := max(1, (end.Position.Sequence-end.Back[n-1])/uint64(n))
		commits = width/gap + 1
	}
	bytes := int64(-1) // not known
	if seg := end.Segment(r.span.run); seg != nil {
		last := seg.Last
		if r.upto != 0 {
			last = r.upto
		}
		commits = min(commits, uint64(max(0, last-from))+1)
		bytes = seg.Size
	}
	about = int(min(commits, 1<<30))
	if r.left > 0 && from == 1 {
		about = min(about, r.left)
	}
	together := len(end.Back) // are read in one go
	if !named(end) {
		together++
	}
	apart := uint64(sparse)
	if commits >= consumedCommits {
		apart = sparser
	}
	switch {
	case commits <= uint64(together):
		return about, true
	case bytes < 0:
		return about, commits <= nearCommits/16 && width > apart*commits
	default:
		return about, commits <= nearCommits && bytes <= nearBytes && width > apart*commits
	}
}

// near reads the commits of the span, or of its end, backwards, by what they name.
// It gives nil if they are more than was thought, or what they name does not hold:
// then the subject says what there is.
func (r *reading) near(ctx context.Context, from events.EventID, about int) ([]link, error) {
	first := r.begin()
	most := min(nearCommits, 4*about+events.MaxBack)
	had, err := r.fetch(ctx, from, first, most)
	if err != nil {
		return nil, err
	}
	var found []link
	reached, bytes := false, 0
	for c, err := range r.backwardsOver(ctx, had, r.span.end, first) {
		if errors.Is(err, events.ErrCorrupt) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		// What is read behind the earliest one shows that it follows from there.
		if reached || c.Position.Sequence < first {
			reached = true
			if r.after != nil && c.Position.Sequence < first && c.Hash != r.after.Hash {
				return nil, errUnfit
			}
			break
		}
		bytes += len(c.Body)
		k := link{Commit: c}
		if p := had[c.Position.Sequence]; p.commit == c {
			k.parts = p.parts
		}
		found = append(found, k)
		if len(found) > most || bytes > nearBytes && len(found) > events.MaxBack+1 {
			return nil, nil
		}
		// After a cursor all is read: it is the one before the earliest that has to be the
		// cursor's.
		if seg := c.Segment(r.span.run); r.after == nil && seg != nil && c.Void == nil && seg.First <= from && c.Position.Sequence > first {
			reached = true
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	earliest := found[len(found)-1].Commit
	if !reached {
		var err error
		switch {
		case r.after != nil:
			err = follows(r.after, earliest)
		case earliest.Position.Sequence != first:
			return nil, nil
		default:
			err = r.checkFirst(ctx, earliest)
		}
		if errors.Is(err, events.ErrCorrupt) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	r.within = r.after == nil && earliest.Position.Sequence > first
	slices.Reverse(found)
	return found, nil
}

// fetch reads about what near needs, and no more than so many commits or nearBytes of
// them: those that the end names, the earliest first, and as soon as it is there those
// that it names, and so on, while the others are still on their way.
func (r *reading) fetch(ctx context.Context, from events.EventID, first uint64, most int) (fetched, error) {
	had := fetched{}
	subject := r.w.Subject()
	bytes := 0
	lowest := r.span.end.Position.Sequence + 1 // that was asked for
	ask := func(c *events.Commit) (seqs []uint64) {
		for _, seq := range slices.Backward(wantedOf(c, first)) {
			if seq < lowest {
				seqs = append(seqs, seq)
			}
		}
		if len(seqs) > 0 {
			lowest = seqs[0]
		}
		return seqs
	}
	var leading parsed // its events are decoded when what it names was asked for
	settle := func() {
		if leading.commit != nil {
			had[leading.commit.Position.Sequence] = leading.decoded(r.wants(from))
			leading = parsed{}
		}
	}
	err := r.store.Fetch(ctx, r.Partition(r.w), ask(r.span.end), func(m events.Message) []uint64 {
		settle()
		if m.Subject != subject {
			return nil
		}
		p := parse(r.w, m)
		if p.err != nil {
			return nil
		}
		bytes += len(m.Body)
		seq := m.Position.Sequence
		if seq != lowest || seq < first || len(had) >= most || bytes > nearBytes {
			had[seq] = p.decoded(r.wants(from))
			return nil
		}
		had[seq], leading = p, p
		if seg := p.commit.Segment(r.span.run); seg != nil && p.commit.Void == nil && seg.First <= from {
			return nil
		}
		return ask(p.commit)
	})
	if err != nil {
		return nil, Unavailable(err)
	}
	settle()
	return had, nil
}

// wants says whose events are given, of commits of the span.
func (r *reading) wants(from events.EventID) func(*events.Commit) bool {
	return func(c *events.Commit) bool {
		seg := c.Segment(r.span.run)
		return c.Void == nil && seg != nil && seg.Last >= from
	}
}

// scanning is what is read of a subject: the commits in [first, to], both of which
// it has; from is first, or the commit before it.
type scanning struct {
	from, first, to uint64
	// about is how many there are; 0: it is not known.
	about int
	// ahead has them parsed ahead, however many there are.
	ahead bool
	// after, if set, is the commit that the first one must follow from: it is not read.
	after *events.Commit
	// end, if set, is the hash of the last one.
	end *events.Hash
	// wanted says whose events are needed; nil: none's.
	wanted func(*events.Commit) bool
}

// chained yields the commits of a subject, and checks that each follows from the one
// before.
func (l *Log) chained(ctx context.Context, w events.Workflow, s scanning) iter.Seq2[link, error] {
	return func(yield func(link, error) bool) {
		j := judge{w: w, unknown: s.from > 1}
		if s.after != nil {
			j.prev, j.unknown = s.after, false
		}
		for k, err := range l.judged(&j, l.parsed(ctx, w, s)) {
			c := k.Commit
			if err == nil && c.Position.Sequence < s.first {
				continue
			}
			if err == nil && s.after == nil && s.from > 1 && c.Position.Sequence == s.from {
				err = l.checkFirst(ctx, c)
			}
			if err != nil {
				yield(link{}, err)
				return
			}
			if s.end != nil && c.Position.Sequence == s.to && c.Hash != *s.end {
				yield(link{}, errUnfit)
				return
			}
			if !yield(k, nil) {
				return
			}
		}
		if j.prev == nil || j.prev.Position.Sequence != s.to {
			yield(link{}, l.corruptAt(w, s.to, "the history does not reach the commit that is its end"))
		}
	}
}

// parsed yields the messages of a subject, parsed ahead where they are many.
func (l *Log) parsed(ctx context.Context, w events.Workflow, s scanning) iter.Seq2[parsed, error] {
	messages := func(ctx context.Context) iter.Seq2[events.Message, error] {
		return l.store.Scan(ctx, l.Partition(w), w.Subject(), s.from, s.to, s.about)
	}
	if s.about < manyCommits && !s.ahead {
		return parsedOf(w, messages(ctx))
	}
	wanted := s.wanted
	if wanted == nil {
		wanted = func(*events.Commit) bool { return false }
	}
	return ahead(ctx, w, wanted, messages)
}

// parsedOf parses messages as they are asked for.
func parsedOf(w events.Workflow, messages iter.Seq2[events.Message, error]) iter.Seq2[parsed, error] {
	return func(yield func(parsed, error) bool) {
		for m, err := range messages {
			if err != nil {
				yield(parsed{}, err)
				return
			}
			if !yield(parse(w, m), nil) {
				return
			}
		}
	}
}
