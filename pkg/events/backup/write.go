package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/pkg/events"
)

// Options say how a backup is written. The zero value is fine.
type Options struct {
	// Begin, if set, is told how many messages are going to be copied, or a few more.
	Begin func(messages int64)
	// Progress, if set, is told about messages that were copied. It is called
	// from several goroutines.
	Progress func(messages int)

	// segmentBytes, mergeSize and step are the tests'.
	segmentBytes, mergeSize int64
	step                    func(what, path string) error
}

// Report is what a run wrote.
type Report struct {
	Messages   int64 // of the partitions, copied by this run
	Bytes      int64 // of their records
	Heartbeats int64 // that the folder has
	Decisions  int64 // that the folder has
	Full       bool  // it held nothing before
	Manifest   *Manifest
}

// parallel is how many streams are read, or written, at a time.
const parallel = 4

// Write brings a log into a folder, or adds to the backup in it what has come
// since. It fails with ErrAnother, ErrBusy, ErrDamaged, or an error of the log or
// of the file system, and then the folder is the backup that it was before.
func Write(ctx context.Context, s Source, dir string, o Options) (Report, error) {
	if o.segmentBytes == 0 {
		o.segmentBytes, o.mergeSize = segmentBytes, mergeSize
	}
	w := &writing{source: s, dir: dir, o: o, disk: disk{o.step}}
	if err := w.disk.mkdir(dir); err != nil {
		return Report{}, err
	}
	l, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return Report{}, err
	}
	defer l.Close()
	if err := lock(l); err != nil {
		return Report{}, err
	}
	defer unlock(l)
	switch w.old, _, err = readManifest(dir); {
	case errors.Is(err, ErrNone):
		w.old = nil
		if err := vacant(dir); err != nil {
			return Report{}, err
		}
	case err != nil:
		return Report{}, err
	}
	return w.run(ctx)
}

// vacant refuses a folder that holds anything but what a backup leaves that was
// killed before it was one.
func vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); name != ".lock" && name != manifestName+".tmp" && !strings.HasPrefix(name, "ANNALS_") {
			return fmt.Errorf("%w: %s holds %s and no backup: name an empty folder", ErrAnother, dir, name)
		}
	}
	return nil
}

// writing is one run.
type writing struct {
	source Source
	dir    string
	o      Options
	disk   disk
	old    *Manifest // nil: none
	holds  []int64   // messages of each partition's stream, up to its end; those of Control behind them
	report Report
}

func (w *writing) run(ctx context.Context) (Report, error) {
	id := w.source.Identity()
	m := &Manifest{
		Format: Format, Run: 1, Taken: time.Now().UTC(), LogID: id.LogID, Epoch: id.Epoch, LogFormat: id.Format, MapVersion: id.Map.Version,
		Streams: make([]StreamContent, id.Map.Partitions()),
	}
	if w.old != nil {
		m.Run = w.old.Run + 1
		if err := sameLog(w.old, m, id); err != nil {
			return Report{}, err
		}
	}
	w.report.Full, w.holds = w.old == nil, make([]int64, len(m.Streams)+1)
	if err := w.describe(ctx, m, id); err != nil {
		return Report{}, err
	}
	messages, bytes := m.Messages(), m.Bytes()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for p := Control; int(p) < len(m.Streams); p++ {
		g.Go(func() error {
			c := m.content(p)
			if err := w.stream(gctx, c, p, m.Run); err != nil {
				return fmt.Errorf("back up stream %s: %w", c.Name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		w.undo(m)
		return Report{}, err
	}
	w.report.Messages, w.report.Bytes = m.Messages()-messages, m.Bytes()-bytes
	for _, g := range m.Heartbeats.Segments {
		w.report.Bytes -= g.Bytes
	}
	w.report.Heartbeats, w.report.Decisions, w.report.Manifest = m.Heartbeats.Messages, m.Control.Messages, m
	if err := w.publish(m); err != nil {
		return Report{}, err
	}
	return w.report, w.clean(m)
}

// sameLog refuses a folder of another log than the one at hand.
func sameLog(old, now *Manifest, id events.Identity) error {
	differs := func(what, folder, log string) error {
		return &AnotherError{What: what, Folder: folder, Log: log}
	}
	switch {
	case old.LogID != now.LogID:
		return differs("the log id", old.LogID, now.LogID)
	case old.Epoch != now.Epoch:
		return differs("the epoch", strconv.FormatUint(uint64(old.Epoch), 10), strconv.FormatUint(uint64(now.Epoch), 10))
	case old.LogFormat != now.LogFormat:
		return differs("the log's format", strconv.Itoa(old.LogFormat), strconv.Itoa(now.LogFormat))
	case old.MapVersion != now.MapVersion || len(old.Streams) != len(id.Map.Ranges):
		return differs("the map of slots", fmt.Sprintf("version %d of %d streams", old.MapVersion, len(old.Streams)),
			fmt.Sprintf("version %d of %d streams", now.MapVersion, len(id.Map.Ranges)))
	}
	return nil
}

// describe takes the ends of all streams, and what the folder has of each. That of
// the control stream comes first: the commits that made its decisions necessary
// were there before them.
func (w *writing) describe(ctx context.Context, m *Manifest, id events.Identity) error {
	if err := w.describeStream(ctx, m, id, Control); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * parallel)
	for p := Heartbeats; int(p) < len(m.Streams); p++ {
		g.Go(func() error { return w.describeStream(ctx, m, id, p) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if w.o.Begin != nil {
		n := int64(0)
		for p := range m.Streams {
			c := &m.Streams[p]
			n += int64(c.Last + 1 - max(c.First, w.end(events.Partition(p))+1))
		}
		w.o.Begin(n)
	}
	return nil
}

func (w *writing) describeStream(ctx context.Context, m *Manifest, id events.Identity, p events.Partition) error {
	d, err := w.source.Describe(ctx, p)
	if err != nil {
		return err
	}
	c := m.content(p)
	*c = StreamContent{Name: d.Name, First: d.Bounds.First, Last: d.Bounds.Last, Settings: d.Settings, Segments: []SegmentContent{}}
	if p == Heartbeats {
		return nil
	}
	*w.held(p) = d.Messages
	if p != Control {
		r := id.Map.Ranges[p]
		c.Slots = &slotContent{First: int(r.First), End: int(r.End)}
	}
	if w.old == nil || w.old.content(p).Name == "" {
		return nil
	}
	old := w.old.content(p)
	if err := w.goesOn(ctx, p, old, c); err != nil {
		return fmt.Errorf("stream %s: %w", d.Name, err)
	}
	c.First, c.Messages, c.LastRecord = old.First, old.Messages, old.LastRecord
	c.Segments = append(c.Segments, old.Segments...)
	return nil
}

// held is where the number of messages of a stream stands.
func (w *writing) held(p events.Partition) *int64 {
	if p == Control {
		return &w.holds[len(w.holds)-1]
	}
	return &w.holds[p]
}

// end is the sequence up to which the folder has the partition.
func (w *writing) end(p events.Partition) uint64 {
	if w.old == nil {
		return 0
	}
	return w.old.content(p).Last
}

// goesOn refuses a stream that does not go on from where the folder ends.
func (w *writing) goesOn(ctx context.Context, p events.Partition, old, now *StreamContent) error {
	if now.Last < old.Last {
		return &AnotherError{What: "the last sequence", Folder: strconv.FormatUint(old.Last, 10), Log: strconv.FormatUint(now.Last, 10)}
	}
	if len(old.Segments) == 0 {
		return nil
	}
	last := old.Segments[len(old.Segments)-1].Last
	what := "the message at " + events.Position{Partition: p, Sequence: last}.String()
	for m, err := range w.source.Messages(ctx, p, last-1, last) {
		if err != nil {
			return err
		}
		record, err := appendRecord(nil, m)
		if err != nil {
			return err
		}
		if sum := recordSum(record); sum != old.LastRecord {
			return &AnotherError{What: what, Folder: "one with the checksum " + old.LastRecord, Log: "one with " + sum}
		}
		return nil
	}
	return &AnotherError{What: what, Folder: "the last one", Log: "purged, so that nothing proves that it is the same log"}
}

func recordSum(record []byte) string {
	sum := sha256.Sum256(record)
	return hex.EncodeToString(sum[:])
}

// stream copies what the folder does not have of a stream.
func (w *writing) stream(ctx context.Context, c *StreamContent, p events.Partition, run int) error {
	if err := w.disk.mkdir(filepath.Join(w.dir, c.Name)); err != nil {
		return err
	}
	s := &streamWriter{writing: w, content: c, run: run}
	if p != Heartbeats {
		if err := s.copy(ctx, p, w.end(p), c.Last); err != nil {
			return err
		}
		return w.complete(c, *w.held(p))
	}
	// Heartbeats are few and replace each other: all of them, each time. One that
	// was replaced before it was read lies behind the end that was taken first.
	if err := s.copy(ctx, p, c.First-1, c.Last); err != nil {
		return err
	}
	d, err := w.source.Describe(ctx, p)
	if err != nil || d.Bounds.Last <= c.Last {
		return err
	}
	before := c.Last
	c.Last = d.Bounds.Last
	return s.copy(ctx, p, before, c.Last)
}

// complete holds what the folder has of a stream against what the stream had.
func (w *writing) complete(c *StreamContent, holds int64) error {
	switch {
	case c.Messages == holds:
		return nil
	case w.old != nil && c.Messages > holds:
		return &AnotherError{What: "the number of messages", Folder: strconv.FormatInt(c.Messages, 10), Log: fmt.Sprintf("%d: some were purged since", holds)}
	default:
		return fmt.Errorf("%d messages came, the stream had %d up to %d: was it purged meanwhile?", c.Messages, holds, c.Last)
	}
}

// streamWriter writes the segments of a stream.
type streamWriter struct {
	*writing
	content *StreamContent
	run     int
	segment *segment // the one at hand, nil: none
	record  []byte   // the last one
}

// copy brings what the stream holds in (after, until] into segments.
func (s *streamWriter) copy(ctx context.Context, p events.Partition, after, until uint64) (err error) {
	defer func() {
		if err != nil && s.segment != nil {
			s.segment.abandon()
		}
	}()
	if after >= until {
		return nil
	}
	told := 0
	for m, err := range s.source.Messages(ctx, p, after, until) {
		if err != nil {
			return err
		}
		if err := s.add(m); err != nil {
			return err
		}
		if told++; told == 1000 && s.o.Progress != nil {
			s.o.Progress(told)
			told = 0
		}
	}
	if s.o.Progress != nil {
		s.o.Progress(told)
	}
	if len(s.record) > 0 {
		s.content.LastRecord = recordSum(s.record)
	}
	return s.finish()
}

func (s *streamWriter) add(m events.Message) (err error) {
	if s.segment == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	if s.record, err = appendRecord(s.record[:0], m); err != nil {
		return err
	}
	if err := s.segment.add(m.Position.Sequence, s.record); err != nil {
		return err
	}
	s.content.Messages++
	if s.segment.content.Bytes >= s.o.segmentBytes {
		return s.finish()
	}
	return nil
}

// begin makes a new segment, which goes on from the last one if that is small.
func (s *streamWriter) begin() (err error) {
	if s.segment, err = s.disk.begin(s.dir, s.content.Name); err != nil {
		return err
	}
	n := len(s.content.Segments)
	if n == 0 || s.content.Segments[n-1].Size >= s.o.mergeSize || s.content.Segments[n-1].Bytes >= s.o.segmentBytes {
		return nil
	}
	old := s.content.Segments[n-1]
	s.content.Segments = s.content.Segments[:n-1]
	return s.segment.resume(s.dir, old)
}

func (s *streamWriter) finish() error {
	if s.segment == nil {
		return nil
	}
	c, err := s.segment.finish(s.dir, s.content.Name, s.run)
	s.segment = nil
	if err != nil {
		return err
	}
	s.content.Segments = append(s.content.Segments, c)
	return nil
}

// publish puts the manifest in the place of the one before.
func (w *writing) publish(m *Manifest) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	if _, _, err := decodeManifest(b); err != nil {
		return fmt.Errorf("the manifest of %s would not be one: %w", w.dir, err)
	}
	if err := w.disk.syncFolder(w.dir); err != nil {
		return err
	}
	temp := filepath.Join(w.dir, manifestName+".tmp")
	f, err := w.disk.create(temp)
	if err != nil {
		return err
	}
	_, err = w.disk.writer(f).Write(b)
	if err == nil {
		err = w.disk.sync(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return w.disk.rename(temp, filepath.Join(w.dir, manifestName))
}

// clean removes the files that no manifest names: of segments that another one
// goes on from, and of runs that were killed.
func (w *writing) clean(m *Manifest) error {
	for c := range m.all() {
		keep := map[string]bool{}
		for _, g := range c.Segments {
			keep[filepath.Base(filepath.FromSlash(g.File))] = true
		}
		folder := filepath.Join(w.dir, c.Name)
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			ours := strings.HasSuffix(e.Name(), ".zst") || strings.HasSuffix(e.Name(), ".tmp")
			if !ours || keep[e.Name()] {
				continue
			}
			if err := w.disk.remove(filepath.Join(folder, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// undo removes the files of a run that goes no further, before there is a manifest
// that names them: a disk that is full has room again. What cannot be removed the
// next run removes.
func (w *writing) undo(m *Manifest) {
	kept := w.old
	if kept == nil {
		kept = &Manifest{Streams: slices.Clone(m.Streams), Heartbeats: m.Heartbeats, Control: m.Control}
		for c := range kept.all() {
			c.Segments = nil
		}
	}
	_ = w.clean(kept)
}

// settings of a stream of the backup, decoded into v.
func (c *StreamContent) settings(v any) error {
	if len(c.Settings) == 0 {
		return nil
	}
	return json.Unmarshal(c.Settings, v)
}
