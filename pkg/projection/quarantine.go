package projection

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/annals-io/annals/pkg/events"
)

// Kind is why a subject is quarantined.
type Kind string

// The kinds of quarantine.
const (
	// KindForeign: a message that is no commit, written past the library.
	KindForeign Kind = "foreign"
	// KindUndecodable: a commit whose envelope or body this program cannot read.
	KindUndecodable Kind = "undecodable"
	// KindGap: messages of the stream are gone; or, of a workflow, those that a
	// commit follows.
	KindGap Kind = "gap"
	// KindBrokenChain: a commit does not follow from the one before it.
	KindBrokenChain Kind = "broken chain"
	// KindUnfit: a commit does not go on from where its workflow is.
	KindUnfit Kind = "unfit"
	// KindBase: the run that a reset begins with cannot be read.
	KindBase Kind = "base"
	// KindRefused: the tables refuse the rows of a commit.
	KindRefused Kind = "refused"
	// KindDamaged: what the tables hold of the workflow cannot be gone on from.
	KindDamaged Kind = "damaged"
)

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{KindForeign, KindUndecodable, KindGap, KindBrokenChain, KindUnfit, KindBase, KindRefused, KindDamaged}
}

// Quarantined is a subject whose messages wait: the first that is not in the
// tables could not be applied. The log is their queue.
type Quarantined struct {
	Partition events.Partition
	// Subject is that of the messages; of a gap in the stream "gap FIRST-LAST". One
	// of more than 1,000 bytes ends in a digest of it.
	Subject  string
	Workflow events.Workflow // zero where the subject is no workflow's
	Kind     Kind
	Reason   string // for people
	// First is the sequence of the first message that waits: the one to blame.
	First uint64
	// LastGood and LastGoodHash are the workflow's last commit before it, which
	// the tables have; zero if there is none.
	LastGood     uint64
	LastGoodHash events.Hash
	// Waiting is how many messages wait, the first included; of a gap, how many
	// are gone. Last is the sequence of the last of them.
	Waiting int64
	Last    uint64
	Since   time.Time // by the clock of the tables' server
}

// Position is the place of the message to blame.
func (q Quarantined) Position() events.Position {
	return events.Position{Partition: q.Partition, Sequence: q.First}
}

// String is what a person needs to know, in one line.
func (q Quarantined) String() string {
	what := q.Workflow.String()
	if q.Workflow == (events.Workflow{}) {
		what = "subject " + strconv.Quote(q.Subject)
	}
	return fmt.Sprintf("%s is quarantined since %s (%s): %s", what, q.Position(), q.Kind, q.Reason)
}

// Mark is a message that a checkpoint can name.
type Mark struct {
	Sequence uint64
	// Hash is the chain hash of a commit; of a message that was passed over, its
	// Fingerprint.
	Hash events.Hash
	Time time.Time // when the server stored it
}

// At is the checkpoint at another message of the same partition.
func (c Checkpoint) At(m Mark) Checkpoint {
	c.Sequence, c.Hash, c.Time = m.Sequence, m.Hash, m.Time
	return c
}

// Passed is what was passed over among the messages of a batch.
type Passed struct {
	// Last is the last message of the batch, passed over or not; zero if nothing
	// was passed over.
	Last Mark
	// Waiting are the subjects whose messages wait.
	Waiting []Waiting
}

// Waiting is more messages of a quarantined subject.
type Waiting struct {
	Subject  string
	Messages int64
	Last     uint64 // sequence of the last of them
}

// Fingerprint identifies a message that is no commit, or is not looked at. It
// covers the subject, the headers of the log and the body.
func Fingerprint(m events.Message) events.Hash {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s", len(m.Subject), m.Subject)
	var names []string
	for name := range m.Header {
		if name == formatHeader || strings.HasPrefix(name, "A-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(h, "%q", append([]string{name}, m.Header[name]...))
	}
	h.Write([]byte{0})
	h.Write(m.Body)
	var sum [sha256.Size]byte
	return events.Hash(h.Sum(sum[:0])[:len(events.Hash{})])
}

// formatHeader is what every message of the log has, and no other.
const formatHeader = "Annals"

// maxReasonBytes bounds what an entry says.
const maxReasonBytes = 2000

// storable is text that any table takes: UTF-8 without NUL.
func storable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsRune(s, 0) {
		return s
	}
	return strconv.QuoteToASCII(s)
}

// maxSubjectBytes is how much of a subject an index of any table takes.
const maxSubjectBytes = 1000

// entrySubject is what an entry has for a subject: the same, but where that is too
// long for an index.
func entrySubject(s string) string {
	s = storable(s)
	if len(s) <= maxSubjectBytes {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return fmt.Sprintf("%s…%x", strings.ToValidUTF8(s[:maxSubjectBytes-100], ""), sum[:16])
}

func gapSubject(first, last uint64) string { return fmt.Sprintf("gap %d-%d", first, last) }

// aside are the quarantined subjects of a partition, as of an epoch of its
// checkpoint.
type aside map[string]Quarantined

func (a aside) waiting() (n int64) {
	for _, q := range a {
		n += q.Waiting
	}
	return n
}

// knowsGap reports whether it is on record that these sequences are gone.
func (a aside) knowsGap(first, last uint64) bool {
	_, known := a[gapSubject(first, last)]
	return known
}

// blamed is a commit that cannot be applied, as the pipeline met it.
type blamed struct {
	*CannotApplyError
	// alone says that it is the only message after the checkpoint that was tried:
	// it is to blame. subject and mark are its own.
	alone   bool
	subject string
	mark    Mark
	// exact says that the error names the commit; else it is somewhere in a batch
	// of so many messages, which ends at the error's position.
	exact bool
	batch int
	gap   gap // if it is one
}

// gap is sequences that the log does not have, both inclusive.
type gap struct{ first, last uint64 }

func (b *blamed) Unwrap() error { return b.CannotApplyError }

// blame adds to an error what the batch tells; errors of other kinds are left as
// they are.
func (f *folded) blame(err error, exact bool) error {
	var cannot *CannotApplyError
	if !errors.As(err, &cannot) {
		return err
	}
	return &blamed{CannotApplyError: cannot, alone: f.messages == 1, subject: f.subject, mark: f.passed.Last, exact: exact, batch: f.messages}
}

// narrow reports whether smaller batches would tell more: then the next ones are.
// A commit that the error names is tried alone, once all before it are in the
// tables; else the batch is halved, so that of 10,000 commits the one to blame is
// found in some fifteen transactions more.
func (p *partition) narrow(ctx context.Context, b *blamed) bool {
	switch {
	case b.alone:
		return false
	case b.exact:
		p.cut = b.Position.Sequence
	default:
		p.careful, p.stride = b.Position.Sequence, max(1, b.batch/2)
	}
	p.logger.LogAttrs(ctx, slog.LevelWarn, "a batch cannot be applied; narrowing it down to the commit that is to blame", append(place(b), slog.Int("batch", b.batch), slog.Any("error", b))...)
	return true
}

// full reports whether a batch that ends at a sequence takes no more because of
// what narrow has found.
func (p *partition) full(sequence uint64, messages int) bool {
	return sequence == p.cut || sequence+1 == p.cut || sequence <= p.careful && messages >= p.stride
}

// setAside quarantines the subject of a message that is to blame.
func (p *partition) setAside(ctx context.Context, b *blamed) error {
	s := p.status()
	if s.Quarantined >= p.config.MaxQuarantined {
		return &TooManyQuarantinedError{Partition: p.number, Quarantined: s.Quarantined, Cause: b}
	}
	q := Quarantined{
		Partition: p.number, Subject: entrySubject(b.subject), Workflow: b.Workflow, Kind: cmp.Or(b.Kind, KindRefused),
		Reason: storable(b.Cause.Error()), First: b.Position.Sequence, Waiting: 1, Last: b.Position.Sequence,
	}
	if len(q.Reason) > maxReasonBytes {
		q.Reason = strings.ToValidUTF8(q.Reason[:maxReasonBytes], "") + "…"
	}
	if b.gap.last != 0 {
		q.First, q.Last, q.Waiting = b.gap.first, b.gap.last, int64(b.gap.last-b.gap.first+1)
	}
	if q.Workflow != (events.Workflow{}) {
		var err error
		if q.LastGood, q.LastGoodHash, err = p.lastGood(ctx, q.Workflow, q.Position()); err != nil {
			return err
		}
	}
	if err := p.target.SetAside(ctx, s.Checkpoint, b.mark, q); err != nil {
		return fmt.Errorf("quarantine %s: %w", q.Subject, err)
	}
	p.update(func(s *PartitionStatus) { s.Quarantines = mapWith(s.Quarantines, q.Kind) })
	p.logger.LogAttrs(ctx, slog.LevelError, "quarantined: what cannot be applied waits with all that follows it on its subject; the others go on",
		append(place(b), slog.String("subject", q.Subject), slog.String("kind", string(q.Kind)), slog.Any("error", b))...)
	return nil
}

// mapWith is a copy in which one more of a kind is counted: what Status gave out
// does not change.
func mapWith(m map[Kind]uint64, k Kind) map[Kind]uint64 {
	out := map[Kind]uint64{k: 1}
	for x, n := range m {
		out[x] += n
	}
	return out
}

// lastGood is the last commit of a workflow before a position.
func (p *partition) lastGood(ctx context.Context, w events.Workflow, at events.Position) (uint64, events.Hash, error) {
	var sequence uint64
	var hash events.Hash
	for m, err := range p.source.Follow(ctx, at.Partition, events.FollowOptions{Until: at.Sequence, Workflow: &w}) {
		if err != nil {
			return 0, events.Hash{}, fmt.Errorf("look for the last commit of %s before %s: %w", w, at, err)
		}
		if m.Position.Sequence >= at.Sequence {
			break
		}
		if p.passes(m) {
			continue
		}
		if c, err := events.Decode(m); err == nil {
			sequence, hash = c.Position.Sequence, c.Hash
		}
	}
	return sequence, hash, nil
}
