package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/annals-io/annals/pkg/events"
)

const (
	// segmentBytes is how many bytes of records end a segment.
	segmentBytes = 64 << 20
	// mergeSize is the size of a file below which the next run goes on in a copy
	// of it, so that many small runs do not make many small files.
	mergeSize = 8 << 20
)

// segmentName is the file of a segment. No two runs use the same name, so that
// no file that a manifest names is ever written to.
func segmentName(stream string, first, last uint64, run int) string {
	return fmt.Sprintf("%s/%020d-%020d.%d.zst", stream, first, last, run)
}

// counting passes on what is written and counts and hashes it.
type counting struct {
	w    io.Writer
	n    int64
	hash hash.Hash
}

func (c *counting) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.hash.Write(b[:n])
	return n, err
}

// segment is one that is being written, in a file with another name until it is
// whole.
type segment struct {
	content SegmentContent
	disk    disk
	temp    string
	file    *os.File
	out     *counting
	zip     *zstd.Encoder
}

// begin makes the file of a new segment.
func (d disk) begin(dir, stream string) (*segment, error) {
	temp := filepath.Join(dir, stream, "segment.tmp")
	f, err := d.create(temp)
	if err != nil {
		return nil, err
	}
	s := &segment{disk: d, temp: temp, file: f, out: &counting{w: d.writer(f), hash: sha256.New()}}
	s.zip, err = zstd.NewWriter(s.out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	if err != nil {
		s.abandon()
		return nil, err
	}
	return s, nil
}

// resume has the segment begin with what another one holds, whose file is
// checked meanwhile. Frames of zstd that follow each other are one.
func (s *segment) resume(dir string, old SegmentContent) error {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(old.File)))
	if err != nil {
		return damaged(old.File, "%v", err)
	}
	defer f.Close()
	if _, err := io.Copy(s.out, f); err != nil {
		return err
	}
	if sum := hex.EncodeToString(s.out.hash.Sum(nil)); s.out.n != old.Size || sum != old.SHA256 {
		return damaged(old.File, "it has %d bytes with the checksum %s, the manifest says %d with %s", s.out.n, sum, old.Size, old.SHA256)
	}
	s.content = old
	return nil
}

func (s *segment) add(seq uint64, record []byte) error {
	if s.content.Messages == 0 {
		s.content.First = seq
	}
	s.content.Last = seq
	s.content.Messages++
	s.content.Bytes += int64(len(record))
	_, err := s.zip.Write(record)
	return err
}

// finish brings the segment to the disk, under the name that it keeps.
func (s *segment) finish(dir, stream string, run int) (SegmentContent, error) {
	err := s.zip.Close()
	if err == nil {
		err = s.disk.sync(s.file)
	}
	if cerr := s.file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return SegmentContent{}, err
	}
	c := s.content
	c.File = segmentName(stream, c.First, c.Last, run)
	c.Size, c.SHA256 = s.out.n, hex.EncodeToString(s.out.hash.Sum(nil))
	return c, s.disk.rename(s.temp, filepath.Join(dir, filepath.FromSlash(c.File)))
}

// abandon gives a segment up and leaves its file to the next run.
func (s *segment) abandon() {
	if s.zip != nil {
		_ = s.zip.Close()
	}
	_ = s.file.Close()
}

// read yields the messages of a segment that come after a sequence, and fails
// with *DamagedError if the file is not what its entry says: that is known for
// certain only at the end.
func (g *SegmentContent) read(dir string, p events.Partition, after uint64) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		err := g.scan(dir, func(record []byte) (bool, error) {
			m, err := decodeRecord(p, record)
			if err != nil {
				return false, damaged(g.File, "%v", err)
			}
			if m.Position.Sequence <= after {
				return true, nil
			}
			return yield(m, nil), nil
		})
		if err != nil {
			yield(events.Message{}, err)
		}
	}
}

// scan gives every record of a segment, without its length, until take returns
// false or an error.
func (g *SegmentContent) scan(dir string, take func([]byte) (bool, error)) error {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(g.File)))
	if err != nil {
		return damaged(g.File, "%v", err)
	}
	defer f.Close()
	in := &counting{w: io.Discard, hash: sha256.New()}
	zip, err := zstd.NewReader(io.TeeReader(f, in), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return err
	}
	defer zip.Close()
	records := bufio.NewReaderSize(zip, 256<<10)
	var count, size int64
	var last uint64
	for {
		record, err := readRecord(records)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return damaged(g.File, "%v", err)
		}
		c := cutter{b: record}
		seq := c.uint64()
		if c.bad || seq <= last || count == 0 && seq != g.First || seq > g.Last {
			return damaged(g.File, "message %d follows message %d, in a segment of %d to %d", seq, last, g.First, g.Last)
		}
		last = seq
		count++
		size += int64(len(record)) + 4
		if more, err := take(record); err != nil || !more {
			return err
		}
	}
	if sum := hex.EncodeToString(in.hash.Sum(nil)); in.n != g.Size || sum != g.SHA256 {
		return damaged(g.File, "it has %d bytes with the checksum %s, the manifest says %d with %s", in.n, sum, g.Size, g.SHA256)
	}
	if count != g.Messages || last != g.Last || size != g.Bytes {
		return damaged(g.File, "it has %d messages in %d bytes and ends with %d, the manifest says %d in %d, ending with %d", count, size, last, g.Messages, g.Bytes, g.Last)
	}
	return nil
}
