package events

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Vector is a place in every partition of a log at once: one sequence a
// partition, 0 where it says nothing of one. It holds every commit up to and
// including those. Positions merge into it, and so do vectors, in any order and
// however often, so that one value is enough to ask for everything that somebody
// has written or seen.
//
// A vector may be bound to a log id and an epoch: then it is refused where they
// are others, as it would mean nothing there. A Result's is; one that is made of
// positions alone is not, until Bind.
//
// It is a value that is never changed, encodes as text, and is safe for
// concurrent use. The zero Vector is the beginning of any log.
type Vector struct {
	logID string
	epoch uint32
	// positions have rising partitions and sequences from 1.
	positions []Position
}

// VectorOf is the least vector that holds the positions. It is bound to no log.
func VectorOf(positions ...Position) Vector {
	list := slices.Clone(positions)
	slices.SortFunc(list, func(a, b Position) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(b.Sequence, a.Sequence))
	})
	list = slices.CompactFunc(list, func(a, b Position) bool { return a.Partition == b.Partition })
	return Vector{positions: slices.DeleteFunc(list, func(p Position) bool { return p.Sequence == 0 })}
}

// Vector holds the append, and is bound to its log.
func (r Result) Vector() Vector { return r.Cursor.Vector() }

// Vector holds the workflow up to the cursor, and is bound to its log.
func (c Cursor) Vector() Vector {
	v := VectorOf(c.position)
	v.logID, v.epoch = c.logID, c.epoch
	return v
}

// Bind is the vector bound to a log. It fails as Of does if it is bound to
// another one.
func (v Vector) Bind(id Identity) (Vector, error) {
	if err := v.Of(id); err != nil {
		return Vector{}, err
	}
	v.logID, v.epoch = id.LogID, id.Epoch
	return v, nil
}

// Bound reports the log that the vector is bound to; ok is false if to none.
func (v Vector) Bound() (logID string, epoch uint32, ok bool) { return v.logID, v.epoch, v.logID != "" }

// Of reports whether the vector can be of this log, as *WrongLogError if not.
func (v Vector) Of(id Identity) error {
	switch {
	case v.logID == "":
		return nil
	case v.logID != id.LogID:
		return &WrongLogError{What: "log id", Want: v.logID, Got: id.LogID}
	case v.epoch != id.Epoch:
		return &WrongLogError{What: "epoch", Want: fmt.Sprint(v.epoch), Got: fmt.Sprint(id.Epoch)}
	}
	return nil
}

// Within reports whether a log of so many partitions has all that the vector
// names, as *InvalidError if not.
func (v Vector) Within(partitions int) error {
	for _, p := range v.positions {
		if p.Partition < 0 || int(p.Partition) >= partitions {
			return &InvalidError{Field: "vector", Reason: fmt.Sprintf("holds %s, and the log has partitions 0 to %d", p, partitions-1)}
		}
	}
	return nil
}

// IsZero reports whether every log holds the vector: it names no sequence. It
// may be bound nevertheless.
func (v Vector) IsZero() bool { return len(v.positions) == 0 }

// At is the sequence of a partition; 0: nothing of it.
func (v Vector) At(p Partition) uint64 {
	i, found := slices.BinarySearchFunc(v.positions, p, func(x Position, p Partition) int { return cmp.Compare(x.Partition, p) })
	if !found {
		return 0
	}
	return v.positions[i].Sequence
}

// Positions are one a partition of which the vector says something, in order.
func (v Vector) Positions() []Position { return slices.Clone(v.positions) }

// With is the least vector that holds v and the positions, bound as v is.
func (v Vector) With(positions ...Position) Vector {
	w := VectorOf(append(v.Positions(), positions...)...)
	w.logID, w.epoch = v.logID, v.epoch
	return w
}

// Merge is the least vector that holds both: of each partition the higher
// sequence. It is bound as whichever of them is, and fails with ErrWrongLog
// (*WrongLogError) if they are bound to different logs or epochs.
func (v Vector) Merge(o Vector) (Vector, error) {
	if o.logID != "" {
		if err := v.Of(Identity{LogID: o.logID, Epoch: o.epoch}); err != nil {
			return Vector{}, err
		}
		v.logID, v.epoch = o.logID, o.epoch
	}
	return v.With(o.positions...), nil
}

// Beyond are the positions of v that o does not hold, in order. What they are
// bound to is not looked at.
func (v Vector) Beyond(o Vector) []Position {
	var list []Position
	for _, p := range v.positions {
		if o.At(p.Partition) < p.Sequence {
			list = append(list, p)
		}
	}
	return list
}

// Covers reports whether v holds all that o does. A vector never covers one that
// is bound to another log.
func (v Vector) Covers(o Vector) bool {
	if v.logID != "" && o.logID != "" && (v.logID != o.logID || v.epoch != o.epoch) {
		return false
	}
	return len(o.Beyond(v)) == 0
}

// Equal reports whether both say the same, and are bound to the same log.
func (v Vector) Equal(o Vector) bool {
	return v.logID == o.logID && v.epoch == o.epoch && slices.Equal(v.positions, o.positions)
}

// MaxVectorBytes bounds the text of a vector.
const MaxVectorBytes = 64 << 10

// maxLogIDBytes is more than any log's: they are UUIDs.
const maxLogIDBytes = 64

// String is the vector's text: its positions, and the log it is bound to, e.g.
// "0:12,3:1042@0190a1b2-0000-7000-8000-000000000001/3". A position's text is that
// of the vector that holds it.
func (v Vector) String() string { return string(v.append(nil)) }

func (v Vector) append(b []byte) []byte {
	for i, p := range v.positions {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, p.String()...)
	}
	if v.logID != "" {
		b = append(append(b, '@'), v.logID...)
		b = strconv.AppendUint(append(b, '/'), uint64(v.epoch), 10)
	}
	return b
}

// MarshalText is String.
func (v Vector) MarshalText() ([]byte, error) { return v.append(nil), nil }

// UnmarshalText is ParseVector.
func (v *Vector) UnmarshalText(text []byte) error {
	got, err := ParseVector(string(text))
	if err != nil {
		return err
	}
	*v = got
	return nil
}

// ParseVector reads the text of a vector, or those of several, joined by commas
// in any order, which it merges. It fails with ErrInvalid (*InvalidError) on
// anything else, and with ErrWrongLog on texts of different logs. Empty text is
// the zero Vector.
func ParseVector(text string) (Vector, error) {
	if text == "" {
		return Vector{}, nil
	}
	if len(text) > MaxVectorBytes {
		return Vector{}, &InvalidError{Field: "vector", Reason: fmt.Sprintf("has %d bytes, at most %d are allowed", len(text), MaxVectorBytes)}
	}
	var v Vector
	var positions []Position
	for item := range strings.SplitSeq(text, ",") {
		position, log, bound := strings.Cut(item, "@")
		if bound {
			id, err := parseBinding(log)
			if err != nil {
				return Vector{}, &InvalidError{Field: "vector", Reason: fmt.Sprintf("holds %.100q: %v", item, err)}
			}
			if v, err = v.Bind(id); err != nil {
				return Vector{}, err
			}
		}
		if position == "" && bound {
			continue // the beginning of that log
		}
		p, err := ParsePosition(position)
		if err != nil {
			return Vector{}, &InvalidError{Field: "vector", Reason: fmt.Sprintf("holds %.100q, which is no position like 3:1042", item)}
		}
		positions = append(positions, p)
	}
	return v.With(positions...), nil
}

func parseBinding(text string) (Identity, error) {
	logID, epoch, ok := strings.Cut(text, "/")
	if !ok || logID == "" || len(logID) > maxLogIDBytes {
		return Identity{}, fmt.Errorf("what follows the @ is no log id and epoch")
	}
	for _, c := range []byte(logID) {
		if c <= ' ' || c > '~' || c == '@' {
			return Identity{}, fmt.Errorf("what follows the @ is no log id")
		}
	}
	n, err := parseNumber(epoch, math.MaxUint32)
	if err != nil {
		return Identity{}, fmt.Errorf("its epoch %w", err)
	}
	return Identity{LogID: logID, Epoch: uint32(n)}, nil
}

// ParsePosition reads what Position.String wrote. It fails with ErrInvalid
// (*InvalidError) on anything else, and on a partition that no log has or a
// sequence beyond 63 bits.
func ParsePosition(text string) (Position, error) {
	invalid := func(format string, args ...any) (Position, error) {
		return Position{}, &InvalidError{Field: "position", Reason: fmt.Sprintf("is %.40q: ", text) + fmt.Errorf(format, args...).Error()}
	}
	partition, sequence, ok := strings.Cut(text, ":")
	if !ok {
		return invalid("want a partition and a sequence like 3:1042")
	}
	p, err := parseNumber(partition, Slots-1)
	if err != nil {
		return invalid("its partition %w", err)
	}
	n, err := parseNumber(sequence, math.MaxInt64)
	if err != nil {
		return invalid("its sequence %w", err)
	}
	return Position{Partition: Partition(p), Sequence: n}, nil
}

// parseNumber reads decimal digits without anything that could be left out.
func parseNumber(text string, most uint64) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil && text != "" && strings.Trim(text, "0123456789") == "" || n > most {
		return 0, fmt.Errorf("is more than %d", most)
	}
	if err != nil || strconv.FormatUint(n, 10) != text {
		return 0, fmt.Errorf("is no number")
	}
	return n, nil
}
