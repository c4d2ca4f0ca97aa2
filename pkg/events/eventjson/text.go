package eventjson

import (
	"bytes"
	"encoding/json"
)

// text is one JSON value that is known to be valid: its methods find their way
// in it without checking again. An index into it is always that of the first
// byte of a token.
type text []byte

func (t text) skipSpace(i int) int {
	for i < len(t) && (t[i] == ' ' || t[i] == '\n' || t[i] == '\t' || t[i] == '\r') {
		i++
	}
	return i
}

// endOfString is the index after the string that begins at i.
func (t text) endOfString(i int) int {
	for i++; ; i++ {
		switch t[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// endOfValue is the index after the value that begins at i.
func (t text) endOfValue(i int) int {
	switch t[i] {
	case '"':
		return t.endOfString(i)
	case '{', '[':
		for open := 0; ; {
			switch t[i] {
			case '"':
				i = t.endOfString(i)
				continue
			case '{', '[':
				open++
			case '}', ']':
				open--
			}
			i++
			if open == 0 {
				return i
			}
		}
	}
	for i < len(t) && !bytes.ContainsRune([]byte(" \n\t\r,]}"), rune(t[i])) {
		i++
	}
	return i
}

func (t text) isNull(i int) bool { return t[i] == 'n' }

// unquote is the string that begins at i.
func (t text) unquote(i int) string {
	quoted := t[i:t.endOfString(i)]
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	// A valid JSON string always decodes.
	_ = json.Unmarshal(quoted, &s)
	return s
}

// members calls visit for each member of the object that begins at i, with the
// indexes of key and value, and returns the index after the object. Visit
// returns the index after the value, or less than 0 to stop there.
func (t text) members(i int, visit func(key, value int) (end int)) (end int) {
	i = t.skipSpace(i + 1)
	for t[i] != '}' {
		key := i
		colon := t.skipSpace(t.endOfString(key))
		value := t.skipSpace(colon + 1)
		if i = visit(key, value); i < 0 {
			return i
		}
		if i = t.skipSpace(i); t[i] == ',' {
			i = t.skipSpace(i + 1)
		}
	}
	return i + 1
}

// elements calls visit for each element of the array that begins at i, and
// returns the index after the array. Visit returns the index after the element.
func (t text) elements(i int, visit func(n, value int) (end int)) (end int) {
	i = t.skipSpace(i + 1)
	for n := 0; t[i] != ']'; n++ {
		i = t.skipSpace(visit(n, i))
		if t[i] == ',' {
			i = t.skipSpace(i + 1)
		}
	}
	return i + 1
}

// depth is how deep objects and arrays are nested; 0 for any other value.
func (t text) depth() int {
	deepest, open := 0, 0
	for i := 0; i < len(t); {
		switch t[i] {
		case '"':
			i = t.endOfString(i)
			continue
		case '{', '[':
			open++
			deepest = max(deepest, open)
		case '}', ']':
			open--
		}
		i++
	}
	return deepest
}

// kind names the value that begins at i, for messages.
func (t text) kind(i int) string {
	switch t[i] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// excerpt is the value that begins at i, shortened for messages.
func (t text) excerpt(i int) string {
	const most = 40
	v := t[i:t.endOfValue(i)]
	if len(v) <= most {
		return string(v)
	}
	return string(bytes.ToValidUTF8(v[:most], nil)) + "…"
}
