package eventjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// How Temporal's default data converter marks what a payload holds.
const (
	encodingNull      = "binary/null"
	encodingJSON      = "json/plain"
	encodingProtoJSON = "json/protobuf"
)

// protoMessageType is the member by which shorthand says that its object is a
// protobuf message, and of which type.
const protoMessageType = "_protoMessageType"

// isFullPayload reports whether the object that begins at i is a payload in
// full rather than the plain value of one. It is one if its metadata has an
// encoding that reads as one, whatever else stands in it: what is misspelt
// there is then found. It is one, too, if it has metadata and holds nothing
// that a payload cannot hold: so [Encode] writes payloads without an encoding.
func isFullPayload(t text, i int, payload protoreflect.MessageDescriptor) bool {
	possible, metadata, encoding := true, false, false
	t.members(i, func(key, value int) int {
		name := t.unquote(key)
		switch {
		case name == "metadata" && t[value] == '{':
			metadata = true
			t.members(value, func(key, value int) int {
				_, ok := decodeBase64(t, value)
				possible = possible && ok
				encoding = encoding || t.unquote(key) == "encoding" && isEncoding(t, value)
				return t.endOfValue(value)
			})
		case name == "data":
			_, ok := decodeBase64(t, value)
			possible = possible && ok
		case fieldByName(payload, name) == nil || name == "metadata":
			possible = false
		}
		return t.endOfValue(value)
	})
	return encoding || metadata && possible
}

// isEncoding reports whether the value that begins at i is the encoding of a
// payload: printable text in base64, or, by mistake, as it is.
func isEncoding(t text, i int) bool {
	if isClearEncoding(t, i) {
		return true
	}
	name, ok := decodeBase64(t, i)
	return ok && len(name) > 0 && !bytes.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
}

// clearEncoding matches an encoding that was written as it is and not in
// base64. It would decode into a few bytes that no data converter knows.
var clearEncoding = regexp.MustCompile(`^"(binary|json)/[a-z]+"$`)

func isClearEncoding(t text, i int) bool {
	return clearEncoding.Match(t[i:t.endOfValue(i)])
}

// decodeBase64 is what the string that begins at i stands for where bytes are
// expected: base64 of either alphabet, with its padding or without.
func decodeBase64(t text, i int) ([]byte, bool) {
	if t[i] != '"' {
		return nil, false
	}
	s := t.unquote(i)
	encoding := base64.StdEncoding
	if strings.ContainsAny(s, "-_") {
		encoding = base64.URLEncoding
	}
	if len(s)%4 != 0 {
		encoding = encoding.WithPadding(base64.NoPadding)
	}
	b, err := encoding.DecodeString(s)
	return b, err == nil
}

// fullPayload is the payload in full whose plain value begins at i.
func fullPayload(t text, i int) []byte {
	if t.isNull(i) {
		return marshalPayload(encodingNull, "", nil)
	}
	if t[i] == '{' {
		if message, data, ok := protoPayload(t, i); ok {
			return marshalPayload(encodingProtoJSON, message, data)
		}
	}
	return marshalPayload(encodingJSON, "", compact(t[i:t.endOfValue(i)]))
}

// protoPayload splits the object that begins at i into the type that it names
// and the message without that name.
func protoPayload(t text, i int) (message string, data []byte, ok bool) {
	var rest bytes.Buffer
	rest.WriteByte('{')
	t.members(i, func(key, value int) int {
		end := t.endOfValue(value)
		if t.unquote(key) == protoMessageType && t[value] == '"' && t.unquote(value) != "" {
			message, ok = t.unquote(value), true
			return end
		}
		if rest.Len() > 1 {
			rest.WriteByte(',')
		}
		rest.Write(t[key:end])
		return end
	})
	rest.WriteByte('}')
	return message, compact(rest.Bytes()), ok
}

func marshalPayload(encoding, message string, data []byte) []byte {
	b := []byte(`{"metadata":{"encoding":"`)
	b = base64.StdEncoding.AppendEncode(b, []byte(encoding))
	if message != "" {
		b = append(b, `","messageType":"`...)
		b = base64.StdEncoding.AppendEncode(b, []byte(message))
	}
	b = append(b, `"}`...)
	if data != nil {
		b = append(b, `,"data":"`...)
		b = base64.StdEncoding.AppendEncode(b, data)
		b = append(b, '"')
	}
	return append(b, '}')
}

// compact is valid JSON less its white space.
func compact(raw []byte) []byte {
	var b bytes.Buffer
	_ = json.Compact(&b, raw) // valid JSON always compacts
	return b.Bytes()
}
