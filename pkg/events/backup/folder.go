package backup

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
)

// Folder is a backup that is read. It is an events.Source: the log as it was when
// the backup was taken. It is safe for concurrent use.
type Folder struct {
	// Dir is where it is.
	Dir string
	// Sum is the checksum of its manifest, in hex: it names this backup.
	Sum      string
	manifest *Manifest
}

var _ events.Source = (*Folder)(nil)

// Open reads the manifest of the backup in a folder. It fails with ErrNone if
// there is none, and with ErrDamaged if the manifest is not what was written. It
// does not look at the segments: see Check.
func Open(dir string) (*Folder, error) {
	m, sum, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	return &Folder{Dir: dir, Sum: sum, manifest: m}, nil
}

// Manifest says what the backup holds. It must not be changed.
func (f *Folder) Manifest() *Manifest { return f.manifest }

// Identity says which log it was taken of, and in which epoch.
func (f *Folder) Identity() events.Identity { return f.manifest.Identity() }

// Settings decodes the settings of a stream, as its server gave them, into v.
func (f *Folder) Settings(p events.Partition, v any) error { return f.manifest.content(p).settings(v) }

// Content is what the backup holds of a stream.
func (f *Folder) Content(p events.Partition) StreamContent { return *f.manifest.content(p) }

func (f *Folder) checkPartition(p events.Partition) error {
	if n := len(f.manifest.Streams); p < Control || int(p) >= n {
		return &events.InvalidError{Field: "partition", Reason: fmt.Sprintf("is %d, the log has 0 to %d", p, n-1)}
	}
	return nil
}

// Bounds are the sequences that a partition had.
func (f *Folder) Bounds(_ context.Context, p events.Partition) (events.Bounds, error) {
	if err := f.checkPartition(p); err != nil {
		return events.Bounds{}, err
	}
	c := f.manifest.content(p)
	return events.Bounds{First: c.First, Last: c.Last}, nil
}

// Message is the one at a position. It reads the segment that has it.
func (f *Folder) Message(ctx context.Context, p events.Position) (events.Message, error) {
	if p.Sequence > 0 {
		for m, err := range f.Follow(ctx, p.Partition, events.FollowOptions{After: p.Sequence - 1, Until: p.Sequence}) {
			if err != nil || m.Position == p {
				return m, err
			}
			break
		}
	}
	return events.Message{}, fmt.Errorf("message at %s: %w", p, events.ErrNotFound)
}

// Follow yields what the backup holds of a partition, of Heartbeats or of Control,
// in order, and then ends: nothing comes any more. It fails with ErrDamaged where a segment
// is not what the manifest says, of which it may have yielded some messages.
func (f *Folder) Follow(ctx context.Context, p events.Partition, o events.FollowOptions) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		if err := f.checkPartition(p); err != nil {
			yield(events.Message{}, err)
			return
		}
		for _, g := range f.manifest.content(p).Segments {
			if g.Last <= o.After {
				continue
			}
			if o.Until != 0 && g.First > o.Until {
				return
			}
			for m, err := range g.read(f.Dir, p, o.After) {
				if err == nil && ctx.Err() != nil {
					err = context.Cause(ctx)
				}
				if err != nil {
					yield(events.Message{}, err)
					return
				}
				if o.Until != 0 && m.Position.Sequence > o.Until {
					return
				}
				if o.Workflow != nil && m.Subject != o.Workflow.Subject() {
					continue
				}
				if !yield(m, nil) {
					return
				}
			}
		}
	}
}

// Check holds every segment's file against its checksum. It fails with
// *DamagedError, which names all that are damaged or missing. What the messages
// are is not looked at: replay.VerifyLog does that, with the folder as its log.
func (f *Folder) Check(ctx context.Context) error {
	var mu sync.Mutex // guards found
	found := &DamagedError{}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for c := range f.manifest.all() {
		for _, s := range c.Segments {
			g.Go(func() error {
				reason, err := s.checkFile(ctx, f.Dir)
				if err != nil || reason == "" {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				found.Damage = append(found.Damage, Damage{File: s.File, Reason: reason})
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if len(found.Damage) > 0 {
		slices.SortFunc(found.Damage, func(a, b Damage) int { return cmp.Compare(a.File, b.File) })
		return found
	}
	return nil
}

// checkFile says what is wrong with a segment's file, if anything is.
func (g *SegmentContent) checkFile(ctx context.Context, dir string) (reason string, err error) {
	file, err := os.Open(filepath.Join(dir, filepath.FromSlash(g.File)))
	if errors.Is(err, os.ErrNotExist) {
		return "it is missing", nil
	}
	if err != nil {
		return err.Error(), nil //nolint:nilerr // the answer is about the file
	}
	defer file.Close()
	sum := sha256.New()
	buffer := make([]byte, 1<<20)
	n := int64(0)
	for {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		k, err := file.Read(buffer)
		sum.Write(buffer[:k])
		n += int64(k)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err.Error(), nil //nolint:nilerr // the answer is about the file
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != g.Size || got != g.SHA256 {
		return fmt.Sprintf("it has %d bytes with the checksum %s, the manifest says %d with %s", n, got, g.Size, g.SHA256), nil
	}
	return "", nil
}
