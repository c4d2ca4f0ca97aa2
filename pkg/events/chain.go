package events

import (
	"crypto/sha256"
	"encoding/binary"
)

// ChainHash is the hash that the commit must carry after prev, the hash of the
// workflow's commit before it (zero for the first). It covers what the commit
// says and not where or when it was stored; docs/adr/0003-wire-format.md lists
// the bytes.
func (c *Commit) ChainHash(prev Hash) Hash {
	b := make([]byte, 0, 1024)
	b = append(b, prev[:]...)
	b = append(b, Format, byte(c.Kind))
	b = appendText(b, c.Workflow.Subject())
	b = appendText(b, string(c.ID))
	b = append(b, c.Digest[:]...)
	reset := byte(0)
	if c.Base != nil {
		reset = 0x80
	}
	switch {
	case c.Closed != nil:
		b = append(b, reset|2)
		b = c.Closed.appendChained(b)
		b = c.Run.appendChained(b)
	case c.Run.Run != "":
		b = append(b, reset|1)
		b = c.Run.appendChained(b)
	default:
		b = append(b, reset) // a void before the first run
	}
	if c.Base != nil {
		b = appendText(b, string(c.Base.Run))
		b = binary.AppendUvarint(b, uint64(c.Base.Event))
		b = append(b, c.Base.Hash[:]...)
	}
	if c.Void != nil {
		b = binary.AppendUvarint(b, c.Void.Messages)
	}

	if len(b)+len(c.Body) <= cap(b) { // a small commit needs no memory but the stack's
		sum := sha256.Sum256(append(b, c.Body...))
		return Hash(sum[:len(Hash{})])
	}
	h := sha256.New()
	h.Write(b)
	h.Write(c.Body)
	var sum [sha256.Size]byte
	return Hash(h.Sum(sum[:0])[:len(Hash{})])
}

func (s *Segment) appendChained(b []byte) []byte {
	b = appendText(b, string(s.Run))
	b = binary.AppendUvarint(b, uint64(s.First))
	b = binary.AppendUvarint(b, uint64(s.Last))
	b = appendText(b, s.Type)
	b = append(b, byte(s.Before), byte(s.After))
	return binary.AppendUvarint(b, uint64(s.Size))
}

// appendText writes a length and that many bytes, so that no two different
// lists of texts are the same bytes.
func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}
