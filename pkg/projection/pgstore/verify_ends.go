package pgstore

import (
	"context"
	"fmt"
	"iter"

	_ "embed"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

//go:embed sql/workflow_ends.sql
var workflowEndsSQL string

// workflowEnd is a workflow's last commit, as the tables know it.
type workflowEnd struct {
	workflow events.Workflow
	run      events.RunID
	sequence uint64
	hash     events.Hash
}

// workflowEnds names, where a checkpoint does not fit the log, the workflows of
// which the tables have commits that the log has not: the log must have the last
// commit of each at its place. It reads the log once, from the first of these.
func (v *verifying) workflowEnds(ctx context.Context, c projection.Checkpoint) error {
	last, _, err := events.LastMessage(ctx, v.log, c.Partition)
	if err != nil {
		return err
	}
	slots := v.log.Identity().Map.Ranges[c.Partition]
	var namespace, id *string
	if one := v.o.Workflow; one != nil {
		namespace, id = &one.Namespace, &one.ID
	}
	rows, err := v.tx.Query(ctx, workflowEndsSQL, int16(slots.First), int16(slots.End), int16(c.Partition), namespace, id)
	if err != nil {
		return err
	}
	defer rows.Close()
	in := &passing{log: v.log, partition: c.Partition, until: last.Position.Sequence}
	defer in.close()
	for rows.Next() {
		end, err := scanWorkflowEnd(rows)
		if err != nil {
			return err
		}
		m, err := in.at(ctx, end.sequence)
		if err != nil {
			return err
		}
		if what := end.missedIn(m, last.Position); what != "" {
			at := events.Position{Partition: c.Partition, Sequence: end.sequence}
			v.differs(Difference{Kind: KindNotInLog, Workflow: end.workflow, Run: end.run, Where: fmt.Sprintf("position %s: the tables have a commit with chain hash %s; %s", at, end.hash, what)})
		}
	}
	return rows.Err()
}

func scanWorkflowEnd(row pgx.CollectableRow) (workflowEnd, error) {
	var e workflowEnd
	var sequence int64
	var hash []byte
	err := row.Scan(&e.workflow.Namespace, &e.workflow.ID, &e.run, &sequence, &hash)
	e.sequence = uint64(sequence)
	copy(e.hash[:], hash)
	return e, err
}

// missedIn says how the message at the place is not the commit; empty: it is.
func (e workflowEnd) missedIn(m events.Message, last events.Position) string {
	switch {
	case e.sequence > last.Sequence:
		return fmt.Sprintf("the log ends at %s", last)
	case m.Position.Sequence != e.sequence:
		return "the log has no message there"
	case m.Subject != e.workflow.Subject():
		return fmt.Sprintf("the log has a message of subject %.200q there", m.Subject)
	}
	c, err := events.Decode(m)
	switch {
	case err != nil:
		return fmt.Sprintf("the log has no commit there: %v", err)
	case c.Hash != e.hash:
		return fmt.Sprintf("the log has another there, with chain hash %s", c.Hash)
	}
	return ""
}

// passing reads a partition once, for places that rise.
type passing struct {
	log       events.Log
	partition events.Partition
	until     uint64 // the last message that the partition holds

	next func() (events.Message, error, bool)
	stop func()
	m    events.Message // the last that was read
}

// at is the message at a place, or another one where there is none.
func (p *passing) at(ctx context.Context, sequence uint64) (events.Message, error) {
	if sequence > p.until {
		return events.Message{}, nil
	}
	if p.next == nil {
		p.next, p.stop = iter.Pull2(p.log.Follow(ctx, p.partition, events.FollowOptions{After: sequence - 1, Until: p.until}))
	}
	for p.m.Position.Sequence < sequence {
		m, err, ok := p.next()
		if err != nil {
			return events.Message{}, err
		}
		if !ok {
			return events.Message{}, nil
		}
		p.m = m
	}
	return p.m, nil
}

func (p *passing) close() {
	if p.stop != nil {
		p.stop()
	}
}
