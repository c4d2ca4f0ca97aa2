package heads

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"

	"github.com/annals-io/annals/pkg/events"
)

// File is a file of heads that was found to be whole. Its heads and marks are in
// memory, its workflows are read when they are needed. It is safe for concurrent
// use as far as its reader is.
type File struct {
	Name   string // for messages
	Header Header
	// Digest is the SHA-256 of the whole file, as Summary's.
	Digest string

	r          io.ReaderAt
	partitions []partition
}

// partition is what a file says about one partition.
type partition struct {
	head      Head
	marks     []Mark
	workflows section
}

// section is the lines of a file from the byte at begin to before that at end.
type section struct {
	begin, end int64
	line       int // the number of the first
}

// maxLine bounds a line: ids are at most 1,255 bytes, six times that when escaped.
const maxLine = 64 << 10

// Open reads a file of heads once and checks it: its form, its order, its last
// line. It fails with ErrDamaged if it is not as it was written. That proves
// nothing about who wrote it: keep the file, or its digest, where those whom it
// guards against cannot write.
func Open(name string, r io.ReaderAt, size int64) (*File, error) {
	f := &File{Name: name, r: r}
	o := opening{file: f, in: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), int(min(size+1, maxLine))), sum: sha256.New()}
	if err := o.run(); err != nil {
		return nil, err
	}
	f.Digest = hex.EncodeToString(o.sum.Sum(nil))
	return f, nil
}

// opening is the reading of one file.
type opening struct {
	file *File
	in   *bufio.Reader
	sum  hash.Hash // of the lines before the one at hand
	line int       // the number of the one at hand
	at   int64     // where it begins

	marks []Mark // of the partition whose head is not there yet
	done  bool   // the end was read
}

func (o *opening) damaged(format string, args ...any) error {
	return &DamagedError{File: o.file.Name, Line: o.line, Reason: fmt.Sprintf(format, args...)}
}

func (o *opening) run() error {
	for {
		b, err := o.in.ReadSlice('\n')
		o.line++
		switch {
		case errors.Is(err, io.EOF) && len(b) == 0:
			if !o.done {
				o.line = 0
				return o.damaged("it was cut short: its last line is missing")
			}
			return nil
		case errors.Is(err, io.EOF):
			return o.damaged("has no end")
		case errors.Is(err, bufio.ErrBufferFull):
			return o.damaged("is too long")
		case err != nil:
			return err
		case o.done:
			return o.damaged("is behind the end")
		}
		if err := o.record(b); err != nil {
			return err
		}
		o.sum.Write(b)
		o.at += int64(len(b))
	}
}

// decode reads one line, and refuses fields that it does not know.
func (o *opening) decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return o.damaged("cannot be read: %v", err)
	}
	return nil
}

func (o *opening) record(b []byte) error {
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(b, &kind); err != nil {
		return o.damaged("cannot be read: %v", err)
	}
	if (o.line == 1) != (kind.Type == kindHeader) {
		return o.damaged("is of type %q", kind.Type)
	}
	switch kind.Type {
	case kindHeader:
		return o.header(b)
	case kindMark:
		return o.mark(b)
	case kindHead:
		return o.head(b)
	case kindWorkflow:
		return o.workflow(b)
	case kindEnd:
		return o.end(b)
	default:
		return o.damaged("is of type %q", kind.Type)
	}
}

func (o *opening) header(b []byte) error {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &version); err != nil || version.Version != Version {
		return o.damaged("says version %d, this program knows %d", version.Version, Version)
	}
	h := &o.file.Header
	if err := o.decode(b, h); err != nil {
		return err
	}
	if h.LogID == "" || h.Partitions < 1 || h.Partitions > events.Slots {
		return o.damaged("does not say which log it is of")
	}
	return nil
}

func (o *opening) mark(b []byte) error {
	var m Mark
	if err := o.decode(b, &m); err != nil {
		return err
	}
	next := uint64(1)
	if n := len(o.marks); n > 0 {
		next = o.marks[n-1].Last + 1
	}
	if int(m.Partition) != len(o.file.partitions) || m.First != next || m.Last < m.First {
		return o.damaged("is not the mark that follows: partition %d, sequences %d to %d", m.Partition, m.First, m.Last)
	}
	o.marks = append(o.marks, m)
	return nil
}

func (o *opening) head(b []byte) error {
	var h Head
	if err := o.decode(b, &h); err != nil {
		return err
	}
	last := uint64(0)
	if n := len(o.marks); n > 0 {
		last = o.marks[n-1].Last
	}
	if int(h.Partition) != len(o.file.partitions) || h.Last != last {
		return o.damaged("is not the head that follows: partition %d, sequence %d", h.Partition, h.Last)
	}
	after := o.at + int64(len(b))
	o.file.partitions = append(o.file.partitions, partition{head: h, marks: o.marks, workflows: section{begin: after, end: after, line: o.line + 1}})
	o.marks = nil
	return nil
}

func (o *opening) workflow(b []byte) error {
	var w Workflow
	if err := o.decode(b, &w); err != nil {
		return err
	}
	n := len(o.file.partitions)
	if !o.file.Header.Workflows || len(o.marks) > 0 || n == 0 || int(w.Partition) != n-1 || w.Sequence == 0 || w.Sequence > o.file.partitions[n-1].head.Last {
		return o.damaged("is a workflow out of place")
	}
	o.file.partitions[n-1].workflows.end = o.at + int64(len(b))
	return nil
}

func (o *opening) end(b []byte) error {
	var e End
	if err := o.decode(b, &e); err != nil {
		return err
	}
	sum := hex.EncodeToString(o.sum.Sum(nil))
	again, err := json.Marshal(e)
	if err != nil {
		return err
	}
	switch {
	case !bytes.Equal(again, bytes.TrimSuffix(b, []byte{'\n'})): // nothing else vouches for this line
		return o.damaged("is not written as an end is")
	case len(o.marks) > 0 || len(o.file.partitions) != o.file.Header.Partitions:
		return o.damaged("ends a file of %d partitions, there are %d", o.file.Header.Partitions, len(o.file.partitions))
	case e.Lines != o.line-1 || e.Digest != sum:
		return o.damaged("vouches for %d lines of digest %s, there are %d of %s: the file was altered", e.Lines, e.Digest, o.line-1, sum)
	}
	o.done = true
	return nil
}

// Heads are those of all partitions, in order.
func (f *File) Heads() []Head {
	hs := make([]Head, len(f.partitions))
	for i, p := range f.partitions {
		hs[i] = p.head
	}
	return hs
}

// Workflows yields the workflows of a partition, by their last sequences. The
// first error ends it.
func (f *File) Workflows(p events.Partition) iter.Seq2[Workflow, error] {
	return func(yield func(Workflow, error) bool) {
		s := f.partitions[p].workflows
		o := opening{file: f, line: s.line - 1}
		in := bufio.NewReaderSize(io.NewSectionReader(f.r, s.begin, s.end-s.begin), maxLine)
		for read := s.begin; read < s.end; {
			o.line++
			b, err := in.ReadSlice('\n')
			if err != nil {
				yield(Workflow{}, o.damaged("cannot be read again: %v", err))
				return
			}
			read += int64(len(b))
			var w Workflow
			if err := o.decode(b, &w); err != nil {
				yield(Workflow{}, err)
				return
			}
			if !yield(w, nil) {
				return
			}
		}
	}
}

// Of reports whether the file can be compared with this log, as
// *events.WrongLogError if not. A log that was restored since has a later epoch
// and can: a restore keeps sequences and commits.
func (f *File) Of(id events.Identity) error {
	h := f.Header
	wrong := func(what string, want, got any) error {
		return &events.WrongLogError{What: fmt.Sprintf("%s (%s is of another)", what, f.Name), Want: fmt.Sprint(want), Got: fmt.Sprint(got)}
	}
	switch {
	case h.LogID != id.LogID:
		return wrong("log id", h.LogID, id.LogID)
	case h.Format != id.Format:
		return wrong("format", h.Format, id.Format)
	case h.MapVersion != id.Map.Version:
		return wrong("map version", h.MapVersion, id.Map.Version)
	case h.Partitions != id.Map.Partitions():
		return wrong("number of partitions", h.Partitions, id.Map.Partitions())
	}
	return nil
}
