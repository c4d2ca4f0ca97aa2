package eventjson

import (
	"strconv"
	"strings"
)

// path is a place in a history as text that grows and shrinks with the walk.
type path []byte

// shownName is how many bytes of a name a path shows: names come from the
// input and may be of any length.
const shownName = 100

// field appends the name of a field or of anything that stands for one.
func (p path) field(name string) path {
	if !plainName(name) {
		return p.key(name)
	}
	if len(p) > 0 {
		p = append(p, '.')
	}
	return append(p, name...)
}

// key appends the key of a map.
func (p path) key(name string) path {
	if len(name) > shownName {
		name = strings.ToValidUTF8(name[:shownName], "") + "…"
	}
	p = append(p, '[')
	p = strconv.AppendQuote(p, name)
	return append(p, ']')
}

// index appends the index of an element.
func (p path) index(n int) path {
	p = append(p, '[')
	p = strconv.AppendInt(p, int64(n), 10)
	return append(p, ']')
}

// plainName reports whether a path shows name as it is.
func plainName(name string) bool {
	if name == "" || len(name) > shownName {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '@', c == '-':
		default:
			return false
		}
	}
	return true
}
