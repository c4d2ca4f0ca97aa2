package execution

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/proto"
)

// coder writes fields into buf, or reads them out of it if decoding. Each
// struct says once, in order, which fields it has; writing and reading cannot
// drift apart. After an error all further calls do nothing.
type coder struct {
	decoding bool
	buf      []byte // written so far, or left to read
	err      error
}

func (c *coder) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrEncoding, fmt.Sprintf(format, args...))
	}
	c.buf = nil
}

// size reads a length. Whatever has a length takes at least one byte for each
// of it, so one beyond what is left is refused before anything is allocated.
func (c *coder) size() int {
	v, n := binary.Uvarint(c.buf)
	if n <= 0 || v > uint64(len(c.buf)-n) {
		c.fail("length of %d in %d bytes", v, len(c.buf))
		return 0
	}
	c.buf = c.buf[n:]
	return int(v)
}

// length codes a count of bytes or elements that are yet to come.
func (c *coder) length(n int) int {
	switch {
	case c.err != nil:
		return 0
	case c.decoding:
		return c.size()
	}
	c.buf = binary.AppendUvarint(c.buf, uint64(n))
	return n
}

// number codes an integer of any width, refusing one that does not fit.
func number[T ~int64 | ~int32 | ~uint8](c *coder, v *T) {
	if c.err != nil {
		return
	}
	if !c.decoding {
		if x := int64(*v); x >= 0 && x < 64 { // by far the most, as one byte
			c.buf = append(c.buf, byte(x)<<1)
		} else {
			c.buf = binary.AppendVarint(c.buf, x)
		}
		return
	}
	x, size := binary.Varint(c.buf)
	if size <= 0 || int64(T(x)) != x {
		c.fail("number %d does not fit", x)
		return
	}
	c.buf = c.buf[size:]
	*v = T(x)
}

func (c *coder) flag(v *bool) {
	var n uint8
	if *v {
		n = 1
	}
	number(c, &n)
	if c.decoding {
		*v = n != 0
	}
}

func text[T ~string](c *coder, v *T) {
	n := c.length(len(*v))
	if !c.decoding {
		c.buf = append(c.buf, *v...)
		return
	}
	*v = T(c.buf[:n])
	c.buf = c.buf[n:]
}

// time codes nanoseconds and one first, so that a zero time is one byte.
func (c *coder) time(v *time.Time) {
	var nanos int32
	var sec int64
	if !c.decoding && !v.IsZero() {
		nanos, sec = int32(v.Nanosecond())+1, v.Unix()
	}
	number(c, &nanos)
	if nanos == 0 {
		return
	}
	number(c, &sec)
	if c.decoding {
		if nanos < 0 || nanos > nanosPerSecond || sec < firstSecond || sec > lastSecond {
			c.fail("time of %d s and %d ns", sec, nanos-1)
			return
		}
		*v = time.Unix(sec, int64(nanos)-1).UTC()
	}
}

// message codes a message as a byte that says whether there is one, its length
// and its bytes.
func message[M any, P interface {
	*M
	proto.Message
}](c *coder, v *P,
) {
	present := *v != nil
	c.flag(&present)
	if !present || c.err != nil {
		return
	}
	if c.decoding {
		n := c.size()
		if c.err != nil {
			return
		}
		m := P(new(M))
		if err := proto.Unmarshal(c.buf[:n], m); err != nil {
			c.fail("%v", err)
			return
		}
		c.buf = c.buf[n:]
		*v = m
		return
	}
	// The length is known afterwards; nearly always it takes the one byte.
	start := len(c.buf)
	buf, err := deterministic.MarshalAppend(append(c.buf, 0), *v)
	if err != nil {
		c.err = fmt.Errorf("encode %s: %w", (*v).ProtoReflect().Descriptor().FullName(), err)
		return
	}
	n := len(buf) - start - 1
	if n < 0x80 {
		buf[start] = byte(n)
		c.buf = buf
		return
	}
	var size [binary.MaxVarintLen64]byte
	c.buf = slices.Insert(buf, start+1, size[1:binary.PutUvarint(size[:], uint64(n))]...)
	c.buf[start] = size[0]
}

var deterministic = proto.MarshalOptions{Deterministic: true}

// optional codes a struct that may be absent.
func optional[T any](c *coder, v **T, code func(*coder, *T)) {
	present := *v != nil
	c.flag(&present)
	if !present || c.err != nil {
		return
	}
	if c.decoding {
		*v = new(T)
	}
	code(c, *v)
}

// each codes a list. Capacity grows with what is read, never with what a
// damaged length promises.
func each[T any](c *coder, list *[]T, code func(*coder, *T)) {
	n := c.length(len(*list))
	for i := 0; i < n && c.err == nil; i++ {
		if c.decoding {
			var zero T
			*list = append(*list, zero)
		}
		code(c, &(*list)[i])
	}
}

// entities codes a list of what is pending, and refuses one that is not in
// order.
func entities[T any, P entity[T]](c *coder, list *[]P, code func(*coder, *T)) {
	each(c, list, func(c *coder, p *P) {
		if c.decoding {
			*p = P(new(T))
		}
		code(c, (*T)(*p))
	})
	for i := 1; c.decoding && c.err == nil && i < len(*list); i++ {
		if (*list)[i-1].key() >= (*list)[i].key() {
			c.fail("event %d after event %d", (*list)[i].key(), (*list)[i-1].key())
		}
	}
}

// payloads codes a map by ascending key, and refuses one that is not in order.
func (c *coder) payloads(v *map[string]*commonpb.Payload) {
	n := c.length(len(*v))
	if !c.decoding {
		var few [8]string
		for _, k := range sortedKeys(*v, few[:0]) {
			p := (*v)[k]
			text(c, &k)
			c.payload(&p)
		}
		return
	}
	var last string
	for i := 0; i < n && c.err == nil; i++ {
		var k string
		var p *commonpb.Payload
		text(c, &k)
		c.payload(&p)
		if c.err == nil && i > 0 && k <= last {
			c.fail("key %q after %q", k, last)
		}
		if c.err != nil {
			return
		}
		if *v == nil {
			*v = make(map[string]*commonpb.Payload, min(n, 8))
		}
		(*v)[k], last = p, k
	}
}

// payload codes metadata and data by itself, since protobuf is slow to order a
// message's map (four payloads took half the time of a typical state). A payload
// that has more than these two is coded as a message.
func (c *coder) payload(v **commonpb.Payload) {
	plain := !c.decoding && *v != nil && len((*v).ExternalPayloads) == 0 && len((*v).ProtoReflect().GetUnknown()) == 0
	c.flag(&plain)
	if !plain {
		message(c, v)
		return
	}
	if c.decoding {
		*v = &commonpb.Payload{}
	}
	p := *v
	c.metadata(&p.Metadata)
	c.bytes(&p.Data)
}

// metadata codes a map by ascending key.
func (c *coder) metadata(v *map[string][]byte) {
	n := c.length(len(*v))
	if !c.decoding {
		var few [4]string
		for _, k := range sortedKeys(*v, few[:0]) {
			b := (*v)[k]
			text(c, &k)
			c.bytes(&b)
		}
		return
	}
	for i := 0; i < n && c.err == nil; i++ {
		var k string
		var b []byte
		text(c, &k)
		c.bytes(&b)
		if *v == nil {
			*v = make(map[string][]byte, min(n, 8))
		}
		(*v)[k] = b
	}
}

// bytes codes what may be empty; empty is read as empty, not nil, as protobuf
// does in a map.
func (c *coder) bytes(v *[]byte) {
	n := c.length(len(*v))
	if !c.decoding {
		c.buf = append(c.buf, *v...)
		return
	}
	*v = append(make([]byte, 0, n), c.buf[:n]...)
	c.buf = c.buf[n:]
}

func sortedKeys[T any](m map[string]T, keys []string) []string {
	for k := range m {
		keys = append(keys, k)
	}
	if len(keys) > 1 {
		slices.Sort(keys)
	}
	return keys
}
