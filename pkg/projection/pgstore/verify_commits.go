package pgstore

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strconv"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection"
)

// expectedCommit is the row that a commit must have: its digest, since all rows of a
// partition would be too much to keep. One that differs is made of the log again.
type expectedCommit struct {
	sequence uint64
	digest   [sha256.Size]byte
}

// Places in a row of commits.
const (
	commitSequenceColumn  = 1
	commitNamespaceColumn = 4
)

// expectCommits takes the rows of commits that the builder has so far.
func (w *comparison) expectCommits(b *builder) error {
	for _, r := range b.commits {
		values, err := canonicalRow(commitsTable, r)
		if err != nil {
			return err
		}
		w.commits = append(w.commits, expectedCommit{uint64(r[commitSequenceColumn].(int64)), digestOf(values)})
	}
	b.commits = b.commits[:0]
	return nil
}

func digestOf(values []string) (digest [sha256.Size]byte) {
	h := sha256.New()
	for _, s := range values {
		_, _ = fmt.Fprintf(h, "%d ", len(s)) // a hash takes everything
		_, _ = io.WriteString(h, s)
	}
	h.Sum(digest[:0])
	return digest
}

// compareCommits reads the rows of commits beside those that are expected.
func (w *comparison) compareCommits(ctx context.Context) error {
	rows, err := w.stored(ctx, commitsTable, " ORDER BY sequence")
	if err != nil {
		return err
	}
	defer rows.Close()
	rest := w.commits
	missing := func(until uint64) error {
		for ; len(rest) > 0 && rest[0].sequence < until; rest = rest[1:] {
			want, err := w.commitOf(ctx, rest[0])
			if err != nil {
				return err
			}
			w.judge(commitsTable, want, nil, true)
		}
		return nil
	}
	for rows.Next() {
		got, err := readCanonical(commitsTable, rows)
		if err != nil {
			return err
		}
		w.report.Rows[commitsTable.name]++
		sequence, err := strconv.ParseUint(got[commitSequenceColumn], 10, 64)
		if err != nil {
			return err
		}
		if err := missing(sequence); err != nil {
			return err
		}
		if len(rest) == 0 || rest[0].sequence != sequence {
			w.judge(commitsTable, nil, got, false)
			continue
		}
		if digestOf(got) == rest[0].digest {
			rest = rest[1:]
			continue
		}
		want, err := w.commitOf(ctx, rest[0])
		if err != nil {
			return err
		}
		if commitsTable.keyOf(want) != commitsTable.keyOf(got) { // of another slot
			w.judge(commitsTable, nil, got, false)
			continue
		}
		rest = rest[1:]
		w.judge(commitsTable, want, got, true)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return missing(^uint64(0))
}

// commitOf makes an expected row again.
func (w *comparison) commitOf(ctx context.Context, e expectedCommit) ([]string, error) {
	m, err := w.log.Message(ctx, events.Position{Partition: w.checkpoint.Partition, Sequence: e.sequence})
	if err != nil {
		return nil, err
	}
	c, err := projection.Decode(m)
	if err != nil {
		return nil, err
	}
	r, err := commitRow(c)
	if err != nil {
		return nil, err
	}
	return canonicalRow(commitsTable, r)
}
