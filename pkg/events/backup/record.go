package backup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// maxRecord bounds what a record may say that it takes, in bytes: a server takes
// no message of more than 64 MiB.
const maxRecord = 72 << 20

// appendRecord writes a message as a segment holds it. All numbers are
// little-endian:
//
//	uint32  bytes that follow
//	uint64  sequence in the stream
//	int64   when the server stored it, nanoseconds since 1970 UTC
//	uint16  bytes of the subject, and the subject
//	uint16  number of header values; of each, ordered by name:
//	          uint16 bytes of the name, the name, uint32 bytes of the value, the value
//	        the body: what is left
func appendRecord(b []byte, m events.Message) ([]byte, error) {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, m.Position.Sequence)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.Time.UnixNano()))
	if len(m.Subject) > 1<<16-1 {
		return nil, fmt.Errorf("message %s: a subject of %d bytes has no place in a record", m.Position, len(m.Subject))
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(m.Subject)))
	b = append(b, m.Subject...)
	var few [16]string
	names, values := few[:0], 0
	for name, vs := range m.Header {
		names = append(names, name)
		values += len(vs)
	}
	slices.Sort(names)
	if values > 1<<16-1 {
		return nil, fmt.Errorf("message %s: %d header values have no place in a record", m.Position, values)
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(values))
	for _, name := range names {
		for _, v := range m.Header[name] {
			if len(name) > 1<<16-1 {
				return nil, fmt.Errorf("message %s: a header name of %d bytes has no place in a record", m.Position, len(name))
			}
			b = binary.LittleEndian.AppendUint16(b, uint16(len(name)))
			b = append(b, name...)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(v)))
			b = append(b, v...)
		}
	}
	b = append(b, m.Body...)
	if n := len(b) - start - 4; n > maxRecord {
		return nil, fmt.Errorf("message %s: %d bytes have no place in a record", m.Position, n)
	}
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b, nil
}

// readRecord reads the next record. At the end it fails with io.EOF.
func readRecord(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errors.New("it ends within a record")
		}
		return nil, err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > maxRecord {
		return nil, fmt.Errorf("a record says that it has %d bytes", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, errors.New("it ends within a record")
	}
	return b, nil
}

var errRecord = errors.New("a record is not of this form")

// decodeRecord reads what appendRecord wrote, without its length. The message
// keeps b.
func decodeRecord(p events.Partition, b []byte) (events.Message, error) {
	d := cutter{b: b}
	m := events.Message{Position: events.Position{Partition: p, Sequence: d.uint64()}}
	m.Time = time.Unix(0, int64(d.uint64())).UTC()
	m.Subject = string(d.bytes(int(d.uint16())))
	if n := int(d.uint16()); n > 0 {
		m.Header = make(events.Header, min(n, 16))
		before := ""
		for range n {
			name := string(d.bytes(int(d.uint16())))
			value := string(d.bytes(int(d.uint32())))
			if d.bad || name < before {
				return events.Message{}, errRecord
			}
			m.Header[name] = append(m.Header[name], value)
			before = name
		}
	}
	if d.bad {
		return events.Message{}, errRecord
	}
	m.Body = d.b
	return m, nil
}

// cutter takes fields from the front of b, and notes when there is too little.
type cutter struct {
	b   []byte
	bad bool
}

func (d *cutter) bytes(n int) []byte {
	if n > len(d.b) {
		d.bad = true
		n = len(d.b)
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *cutter) uint16() uint16 {
	if b := d.bytes(2); !d.bad {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (d *cutter) uint32() uint32 {
	if b := d.bytes(4); !d.bad {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *cutter) uint64() uint64 {
	if b := d.bytes(8); !d.bad {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}
