package heads

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"strconv"
	"strings"

	"github.com/annals-io/annals/pkg/events"
)

// lines makes the lines that digests are made of. It reuses its memory.
type lines struct {
	names   []string
	content hash.Hash
	sum     [sha256.Size]byte
	buffer  []byte
}

func newLines() *lines { return &lines{content: sha256.New()} }

// of is a message's line: its sequence, its subject, and the digest of what it
// says, each behind a space, ended by a newline. It is valid until the next call.
//
// What a message says is its envelope and its body. Other headers are the
// server's or transport's and may be others after a restore, as the time is.
func (l *lines) of(m events.Message) []byte {
	l.names = l.names[:0]
	for name := range m.Header {
		if name == "Annals" || strings.HasPrefix(name, "A-") {
			l.names = append(l.names, name)
		}
	}
	slices.Sort(l.names)
	b := l.buffer[:0]
	for _, name := range l.names {
		for _, v := range m.Header[name] {
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, v...)
			b = append(b, '\n')
		}
	}
	b = append(b, '\n')
	l.content.Reset()
	l.content.Write(b)
	l.content.Write(m.Body)
	sum := l.content.Sum(l.sum[:0])

	b = strconv.AppendUint(b[:0], m.Position.Sequence, 10)
	b = append(b, ' ')
	b = append(b, m.Subject...)
	b = append(b, ' ')
	b = hex.AppendEncode(b, sum)
	b = append(b, '\n')
	l.buffer = b
	return b
}

// digest is a running digest of lines.
type digest struct {
	hash     hash.Hash
	messages uint64
}

func newDigest() *digest { return &digest{hash: sha256.New()} }

func (d *digest) add(line []byte) {
	d.hash.Write(line)
	d.messages++
}

// text is the digest so far. It may go on.
func (d *digest) text() string { return hex.EncodeToString(d.hash.Sum(nil)) }

func (d *digest) reset() {
	d.hash.Reset()
	d.messages = 0
}

// chainHash is a message's link of the chain, as its header says. It may be
// kept: it does not hold on to the message.
func chainHash(m events.Message) string {
	if v := m.Header["A-Chain"]; len(v) == 1 {
		return strings.Clone(v[0])
	}
	return ""
}

// last is the last message of a workflow so far.
type last struct {
	sequence uint64
	hash     string
	run      events.RunID
	event    events.EventID
}

// workflowOf says whose message it is, and what its last is then; not ok where
// the subject is no workflow's.
func workflowOf(m events.Message) (w events.Workflow, l last, ok bool) {
	l = last{sequence: m.Position.Sequence, hash: chainHash(m)}
	c, err := events.Decode(m)
	if err != nil {
		w, err = events.ParseSubject(m.Subject)
		return w, l, err == nil
	}
	l.run, l.event = c.Run.Run, c.Run.Last
	return c.Workflow, l, true
}
