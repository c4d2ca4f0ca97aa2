package e2e

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/minio/highwayhash"
	"github.com/nats-io/nats.go"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// record is a message in the file of a stopped server's stream, as one who has
// the disk finds it (nats-server 2.15.2, filestore.go, writeMsgRecordLocked).
type record struct {
	sequence uint64
	time     int64 // nanoseconds since 1970
	subject  string
	header   []byte
	body     []byte
}

const (
	recordFixed  = 22      // length, sequence, time, length of the subject
	recordSum    = 8       // the server's checksum
	withHeader   = 1 << 31 // in the length
	erasedRecord = 1 << 63 // in the sequence: the message was deleted, its number stays
)

// block is the file of a stream whose messages all fit into the first.
func block(store string, p events.Partition) string {
	return filepath.Join(store, "jetstream", "$G", "streams", natslog.StreamName(p), "msgs", "1.blk")
}

// readRecords reads what a stopped server stored of a partition.
func readRecords(t *testing.T, store string, p events.Partition) (records []record) {
	t.Helper()
	b, err := os.ReadFile(block(store, p))
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	for len(b) > 0 {
		length := le.Uint32(b)
		one := b[:length&^withHeader]
		b = b[len(one):]
		r := record{sequence: le.Uint64(one[4:]), time: int64(le.Uint64(one[12:]))}
		rest := one[recordFixed : len(one)-recordSum]
		n := le.Uint16(one[20:])
		r.subject, rest = string(rest[:n]), rest[n:]
		if length&withHeader != 0 {
			n := le.Uint32(rest)
			r.header, rest = rest[4:4+n], rest[4+n:]
		}
		r.body = rest
		records = append(records, r)
	}
	return records
}

// writeRecords puts other messages in their place, with checksums that are
// right, and takes away what the server remembers of the old ones.
func writeRecords(t *testing.T, store string, p events.Partition, records []record) {
	t.Helper()
	key := sha256.Sum256(fmt.Appendf(nil, "%s-1", natslog.StreamName(p)))
	le := binary.LittleEndian
	var b []byte
	for _, r := range records {
		sum, err := highwayhash.NewDigest64(key[:])
		if err != nil {
			t.Fatal(err)
		}
		length := uint32(recordFixed + len(r.subject) + len(r.body) + recordSum)
		if r.header != nil {
			length = (length + 4 + uint32(len(r.header))) | withHeader
		}
		b = le.AppendUint32(b, length)
		begin := len(b)
		b = le.AppendUint64(b, r.sequence)
		b = le.AppendUint64(b, uint64(r.time))
		sum.Write(b[begin:])
		b = le.AppendUint16(b, uint16(len(r.subject)))
		b = append(b, r.subject...)
		if r.header != nil {
			b = le.AppendUint32(b, uint32(len(r.header)))
			b = append(b, r.header...)
		}
		b = append(b, r.body...)
		sum.Write([]byte(r.subject))
		sum.Write(r.header)
		sum.Write(r.body)
		b = sum.Sum(b)
	}
	file := block(store, p)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(file), "index.db")); err != nil {
		t.Fatal(err)
	}
}

// message is the record as a reader of the log gets it.
func (r record) message(t *testing.T) events.Message {
	t.Helper()
	h, err := nats.DecodeHeadersMsg(r.header)
	if err != nil {
		t.Fatal(err)
	}
	return events.Message{Position: events.Position{Sequence: r.sequence}, Subject: r.subject, Header: events.Header(h), Body: r.body}
}

// rewrite makes another commit of a record, as one who knows the format does: it
// follows from the commit before it.
func (r *record) rewrite(t *testing.T, before events.Hash, change func([]*events.Event)) events.Hash {
	t.Helper()
	c, err := events.Decode(r.message(t))
	if err != nil {
		t.Fatal(err)
	}
	var h historypb.History
	if err := proto.Unmarshal(c.Body, &h); err != nil {
		t.Fatal(err)
	}
	change(h.Events)
	if c.Body, err = proto.Marshal(&h); err != nil {
		t.Fatal(err)
	}
	c.Hash = c.ChainHash(before)
	var b strings.Builder
	b.WriteString("NATS/1.0\r\n")
	header := events.EncodeHeader(c)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		fmt.Fprintf(&b, "%s: %s\r\n", name, header[name][0])
	}
	b.WriteString("\r\n")
	r.header, r.body = []byte(b.String()), c.Body
	return c.Hash
}
