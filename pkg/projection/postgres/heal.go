package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

var (
	//go:embed sql/checkpoint_lock.sql
	checkpointLockSQL string
	//go:embed sql/checkpoint_fence.sql
	checkpointFenceSQL string
)

// Mending replaces what a projection's tables have of one workflow.
type Mending interface {
	// Add takes the next commits of the workflow, from its first on. It touches
	// no table. It fails with projection.ErrCannotApply if one of them can never
	// become rows.
	Add(ctx context.Context, commits []projection.Commit) error
	// Replace deletes the rows that the workflow has, whatever they are, and
	// writes those of all commits that were added.
	Replace(ctx context.Context, tx pgx.Tx) error
}

// Healed is what a healing did.
type Healed struct {
	Workflow events.Workflow
	// Was is how the workflow was quarantined; nil: it was not.
	Was *projection.Quarantined
	// Commits are those that the rows were made of, up to the checkpoint.
	Commits    int
	Checkpoint projection.Checkpoint // as it is since
	// Building is the same in the tables that a rebuild was filling; nil: none was, or
	// it had not come to the workflow's partition.
	Building *Healed
}

const (
	// addCommits is how many commits are decoded before they are folded.
	addCommits = 1000
	// healAttempts bounds how often the log is read again because what it had
	// got to was no longer where the checkpoint is.
	healAttempts = 10
	// lockedRead bounds how long the checkpoint is held for reading what has
	// come to the log meanwhile.
	lockedRead = 10 * time.Second
)

var (
	// errAgain: what was read is not what the checkpoint asks for.
	errAgain = errors.New("the log or the checkpoint changed meanwhile")
	// errNoCheckpoint: nothing of the workflow's partition was projected yet.
	errNoCheckpoint = errors.New("has no checkpoint")
)

// Heal makes the rows of a workflow anew from the log, up to the checkpoint, and
// ends its quarantine if it has one. It may run beside projectors, and for a
// workflow with which nothing is wrong. begin makes what replaces the rows in
// the tables of the checkpoint's generation; it is called for each attempt.
//
// The log is read and folded before the checkpoint is locked; behind the lock
// only what came since is. In the same transaction the epoch is raised: a
// projector that has folded further drops its batch and what it has cached.
//
// Where a rebuild fills other tables, of this program's version, the same is done in
// these, so that the workflow is not quarantined anew by the swap. Where the live ones
// are of another version, those alone are healed.
//
// It fails with projection.ErrNotHealed (*projection.NotHealedError) if the cause
// is not gone, with projection.ErrWrongCheckpoint if the tables are not of this
// log. Then nothing was changed. After any other error it may have been: repeat
// it.
func (p *Projection) Heal(ctx context.Context, log events.Log, w events.Workflow, begin func(projection.Checkpoint) Mending) (Healed, error) {
	if err := w.Validate(); err != nil {
		return Healed{}, err
	}
	if p.generation != 0 {
		return p.heal(ctx, log, w, begin)
	}
	// Looked for first: where it becomes live meanwhile, it is healed all the same.
	building, err := p.inState(ctx, p.pool, "building")
	if err != nil && !IsMissing(err) { // that is said better below
		return Healed{}, fmt.Errorf("heal %s: %w", w, err)
	}
	h, err := p.heal(ctx, log, w, begin)
	if building.Generation == 0 || building.Version != p.definition.Version || err != nil && !errors.Is(err, projection.ErrVersion) {
		return h, err
	}
	b, unhealed := p.At(building.Generation).heal(ctx, log, w, begin)
	switch {
	case unhealed == nil && err == nil:
		h.Building = &b
	case unhealed == nil:
		return Healed{Workflow: w, Was: b.Was, Commits: b.Commits, Checkpoint: b.Checkpoint}, nil
	case errors.Is(unhealed, errNoCheckpoint): // the rebuild comes to it yet
	case errors.Is(unhealed, projection.ErrVersion), errors.Is(unhealed, errAgain): // it was dropped
	default:
		return h, fmt.Errorf("in the tables that are being filled (generation %d): %w", building.Generation, unhealed)
	}
	return h, err
}

// heal is Heal in one generation.
func (p *Projection) heal(ctx context.Context, log events.Log, w events.Workflow, begin func(projection.Checkpoint) Mending) (Healed, error) {
	var err error
	for range healAttempts {
		h := &healing{p: p, log: log, w: w}
		if err = h.run(ctx, begin); err == nil {
			return h.healed, nil
		}
		if !errors.Is(err, errAgain) {
			break
		}
	}
	return Healed{}, fmt.Errorf("heal %s: %w", w, err)
}

// healing is one attempt.
type healing struct {
	p      *Projection
	log    events.Log
	w      events.Workflow
	healed Healed

	mending Mending
	last    projection.Mark     // the last commit that was read, zero if none
	read    uint64              // up to where the log was read, inclusive
	ahead   []projection.Commit // read and not yet added
}

func (h *healing) run(ctx context.Context, begin func(projection.Checkpoint) Mending) error {
	c, err := h.checkpoint(ctx)
	if err != nil {
		return err
	}
	if err := h.fits(ctx, c); err != nil {
		return err
	}
	h.mending = begin(c)
	if err := h.readTo(ctx, c.Sequence); err != nil {
		return h.notHealed(err)
	}
	err = pgx.BeginFunc(ctx, h.p.pool, func(tx pgx.Tx) error { return h.replace(ctx, tx, c) })
	return h.notHealed(err)
}

// checkpoint is the one of the workflow's partition, which must be there.
func (h *healing) checkpoint(ctx context.Context) (projection.Checkpoint, error) {
	if err := h.p.CheckVersion(ctx); err != nil {
		return projection.Checkpoint{}, err
	}
	list, err := h.p.Checkpoints(ctx)
	if err != nil {
		return projection.Checkpoint{}, err
	}
	want := h.log.Identity().Map.Partition(h.w.Slot())
	for _, c := range list {
		if c.Partition == want {
			return c, nil
		}
	}
	return projection.Checkpoint{}, &projection.NotHealedError{Workflow: h.w, Cause: fmt.Errorf("partition %d %w", want, errNoCheckpoint), Advice: "nothing of it was projected yet, start the projector"}
}

// fits holds the checkpoint against the log. The message at the checkpoint may be
// one of the workflow's that was put right.
func (h *healing) fits(ctx context.Context, c projection.Checkpoint) error {
	err := projection.Check(ctx, h.log, c)
	if !errors.Is(err, projection.ErrWrongCheckpoint) || c.LogID != h.log.Identity().LogID || c.LogEpoch != h.log.Identity().Epoch {
		return err
	}
	m, readErr := h.log.Message(ctx, c.Position())
	if readErr == nil && m.Subject == h.w.Subject() {
		return nil
	}
	return err
}

// readTo reads all that the log has of the workflow, and folds it up to a
// sequence.
func (h *healing) readTo(ctx context.Context, sequence uint64) error {
	b, err := h.log.Bounds(ctx, h.log.Identity().Map.Partition(h.w.Slot()))
	if err != nil {
		return err
	}
	var ready []projection.Commit
	for c, err := range h.log.Commits(ctx, h.w) {
		if errors.Is(err, events.ErrNotFound) {
			break
		}
		if err != nil {
			return err
		}
		commit, err := h.decode(ctx, c)
		if err != nil {
			return err
		}
		if c.Position.Sequence > sequence {
			h.ahead = append(h.ahead, commit)
			continue
		}
		if ready = append(ready, commit); len(ready) == addCommits {
			if err := h.add(ctx, ready); err != nil {
				return err
			}
			ready = nil
		}
	}
	h.read = max(b.Last, h.last.Sequence)
	return h.add(ctx, ready)
}

func (h *healing) add(ctx context.Context, commits []projection.Commit) error {
	h.healed.Commits += len(commits)
	if len(commits) == 0 {
		return nil
	}
	return h.mending.Add(ctx, commits)
}

func (h *healing) decode(ctx context.Context, c *events.Commit) (projection.Commit, error) {
	commit, err := projection.DecodeCommit(c)
	if err == nil {
		err = projection.Complete(ctx, h.log, &commit)
	}
	h.last = projection.Mark{Sequence: c.Position.Sequence, Hash: c.Hash, Time: c.Time}
	return commit, err
}

// replace is what happens in the transaction.
func (h *healing) replace(ctx context.Context, tx pgx.Tx, before projection.Checkpoint) error {
	if err := guardTransaction(ctx, tx, idleReading); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, checkpointLockSQL, h.p.definition.Name, before.Generation, int16(before.Partition))
	if err != nil {
		return err
	}
	c, err := pgx.CollectExactlyOneRow(rows, ScanCheckpoint)
	if errors.Is(err, pgx.ErrNoRows) {
		return errAgain // the generation was dropped
	}
	if err != nil {
		return err
	}
	if err := h.p.stillShown(ctx, tx, c); err != nil {
		return err
	}
	if c.LogID != before.LogID || c.LogEpoch != before.LogEpoch || c.Sequence < before.Sequence {
		return errAgain
	}
	locked, cancel := context.WithTimeout(ctx, lockedRead)
	defer cancel()
	if err := h.readSince(locked, c.Sequence); err != nil {
		return err
	}
	hash, err := h.hashAt(locked, c)
	if err != nil {
		return err
	}
	page, err := h.p.At(c.Generation).QuarantinedIn(ctx, tx, QuarantineQuery{Workflow: &h.w})
	if err != nil {
		return err
	}
	if err := h.mending.Replace(ctx, tx); err != nil {
		return err
	}
	for _, q := range page.Entries {
		h.healed.Was = &q
		if _, err := tx.Exec(ctx, quarantineDeleteSQL, h.p.definition.Name, c.Generation, int16(q.Partition), q.Subject); err != nil {
			return err
		}
	}
	if err := tx.QueryRow(ctx, checkpointFenceSQL, h.p.definition.Name, c.Generation, int16(c.Partition), hash).Scan(&c.Epoch); err != nil {
		return err
	}
	if hash != nil {
		copy(c.Hash[:], hash)
	}
	h.healed.Workflow, h.healed.Checkpoint = h.w, c
	return nil
}

// readSince folds what is left up to a sequence: what was read ahead, and what
// has come since.
func (h *healing) readSince(ctx context.Context, sequence uint64) error {
	if sequence > h.read {
		if err := h.readMore(ctx, sequence); err != nil {
			return err
		}
	}
	n := 0
	for n < len(h.ahead) && h.ahead[n].Position.Sequence <= sequence {
		n++
	}
	return h.add(ctx, h.ahead[:n])
}

// readMore reads what of the workflow lies behind what was read, up to a
// sequence. Whatever is wrong with it, the next attempt finds out what.
func (h *healing) readMore(ctx context.Context, sequence uint64) error {
	end, err := events.LastOf(ctx, h.log, h.w)
	if err != nil || end <= h.read {
		return err
	}
	for m, err := range h.log.Follow(ctx, h.log.Identity().Map.Partition(h.w.Slot()), events.FollowOptions{After: h.read, Until: end, Workflow: &h.w}) {
		if err != nil {
			return err
		}
		if m.Position.Sequence > sequence {
			break
		}
		c, err := events.Decode(m)
		if err != nil || c.Hash != c.ChainHash(h.last.Hash) {
			return errAgain
		}
		commit, err := h.decode(ctx, c)
		if err != nil {
			return err
		}
		h.ahead = append(h.ahead, commit)
	}
	return nil
}

// hashAt is what the checkpoint must hold where its message is the workflow's,
// and was put right; nil: what it holds.
func (h *healing) hashAt(ctx context.Context, c projection.Checkpoint) ([]byte, error) {
	err := projection.Check(ctx, h.log, c)
	if !errors.Is(err, projection.ErrWrongCheckpoint) {
		return nil, err
	}
	m, readErr := h.log.Message(ctx, c.Position())
	if readErr != nil || m.Subject != h.w.Subject() {
		return nil, err
	}
	hash := projection.Fingerprint(m)
	return hash[:], nil
}

// notHealed tells apart that the cause is not gone.
func (h *healing) notHealed(err error) error {
	not := &projection.NotHealedError{Workflow: h.w, Cause: err}
	switch {
	case err == nil, errors.Is(err, errAgain), errors.Is(err, projection.ErrNotHealed):
		return err
	case errors.Is(err, projection.ErrCannotApply):
		not.Advice = "the commit is still one that this program cannot apply"
	case errors.Is(err, events.ErrCorrupt):
		not.Advice = "the log is still corrupt: what is no commit and ends the workflow can be declared void (annals log void); what was altered or is gone comes back with a backup only"
	case Refuses(err):
		not.Advice = "the tables still refuse the rows"
	default:
		return err
	}
	return not
}
