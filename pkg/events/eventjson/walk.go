package eventjson

import (
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The messages that have a shorthand.
const (
	payloadName  protoreflect.FullName = "temporal.api.common.v1.Payload"
	payloadsName protoreflect.FullName = "temporal.api.common.v1.Payloads"
)

// walk goes through one message's JSON beside its descriptor, before the
// message is decoded: the decoder stops at its first error and says no path.
type walk struct {
	text
	at path

	// report is called for each problem, in the order of the text.
	report func(Problem)
	// dropped counts the unknown fields and enum names that were reported.
	dropped int
	// edits turn the text into the JSON that the decoder reads.
	edits edits
	// spell makes every payload say that it is one, instead of taking for a
	// plain value what does not.
	spell bool
	// leaf, if set, is called for each value that the walk does not look into.
	leaf func(field protoreflect.FieldDescriptor, i int)
}

func (w *walk) problem(reason error, detail string) {
	w.report(Problem{Path: string(w.at), Reason: reason, Detail: detail})
}

// wrongKind reports that the value that begins at i is not what it has to be,
// and skips it.
func (w *walk) wrongKind(i int, want string) (end int) {
	w.problem(ErrInvalidValue, "want "+want+", have "+w.kind(i))
	return w.endOfValue(i)
}

// within walks one part of the value, whose path is that of the whole with
// part's name.
func (w *walk) within(at path, part func() int) int {
	outer := len(w.at)
	w.at = at
	end := part()
	w.at = w.at[:outer]
	return end
}

// message walks the object that begins at i and returns the index after it, as
// the methods below do.
func (w *walk) message(i int, desc protoreflect.MessageDescriptor) (end int) {
	if w.text[i] != '{' {
		return w.wrongKind(i, "an object")
	}
	var seen fieldSet
	return w.members(i, func(key, value int) int {
		name := w.unquote(key)
		return w.within(w.at.field(name), func() int {
			field := fieldByName(desc, name)
			if field == nil {
				w.dropped++
				w.problem(ErrUnknownField, "")
				return w.endOfValue(value)
			}
			if !seen.addField(field) {
				w.problem(ErrDuplicate, "the field is there already")
			}
			if w.isNull(value) {
				return w.endOfValue(value)
			}
			if !seen.addChoice(field) {
				w.problem(ErrDuplicate, "another field of "+string(field.ContainingOneof().Name())+" is set")
			}
			return w.field(value, field)
		})
	})
}

// fieldByName finds a field by its name in JSON or in the .proto file.
func fieldByName(desc protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if field := desc.Fields().ByJSONName(name); field != nil {
		return field
	}
	return desc.Fields().ByTextName(name)
}

// field walks the value of a field, which is not null.
func (w *walk) field(i int, field protoreflect.FieldDescriptor) (end int) {
	switch {
	case field.IsMap():
		return w.entries(i, field)
	case field.IsList():
		if w.text[i] != '[' {
			return w.wrongKind(i, "an array")
		}
		return w.elements(i, func(n, value int) int {
			return w.within(w.at.index(n), func() int { return w.single(value, field) })
		})
	}
	return w.single(i, field)
}

// entries walks a map.
func (w *walk) entries(i int, field protoreflect.FieldDescriptor) (end int) {
	if w.text[i] != '{' {
		return w.wrongKind(i, "an object")
	}
	var seen nameSet
	return w.members(i, func(key, value int) int {
		name := w.unquote(key)
		return w.within(w.at.key(name), func() int {
			if !seen.add(name) {
				w.problem(ErrDuplicate, "the key is there already")
			}
			if field.ContainingMessage().FullName() == payloadName && name == "encoding" && isClearEncoding(w.text, value) {
				w.problem(ErrInvalidValue, "metadata is written in base64, have "+w.excerpt(value))
				return w.endOfValue(value)
			}
			return w.single(value, field)
		})
	})
}

// single walks one value of a field, be it the only one or one of many.
func (w *walk) single(i int, field protoreflect.FieldDescriptor) (end int) {
	of := field
	if field.IsMap() {
		of = field.MapValue()
	}
	switch of.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		switch desc := of.Message(); {
		case desc.FullName() == payloadsName:
			return w.payloads(i, desc)
		case desc.FullName() == payloadName:
			return w.payload(i, desc)
		case desc.FullName().Parent() == "google.protobuf":
			// Each of these has a form of its own, which is for the decoder to
			// judge.
		default:
			return w.message(i, desc)
		}
	case protoreflect.EnumKind:
		if w.text[i] == '"' && !field.IsMap() {
			if name := w.unquote(i); !knowsEnumName(field, name) {
				w.dropped++
				w.problem(ErrUnknownEnum, w.excerpt(i))
			}
			return w.endOfString(i)
		}
	}
	if w.leaf != nil {
		w.leaf(field, i)
	}
	return w.endOfValue(i)
}

// payloads walks payloads: an object that holds them, or the array alone.
func (w *walk) payloads(i int, desc protoreflect.MessageDescriptor) (end int) {
	switch w.text[i] {
	case '[':
		payload := desc.Fields().ByName("payloads").Message()
		w.edits.insert(i, `{"payloads":`)
		end = w.elements(i, func(n, value int) int {
			return w.within(w.at.index(n), func() int { return w.payload(value, payload) })
		})
		w.edits.insert(end, `}`)
		return end
	case '{':
		return w.message(i, desc)
	}
	return w.wrongKind(i, "an array of values, or an object with payloads")
}

// payload walks one payload: in full, or its plain value alone.
func (w *walk) payload(i int, desc protoreflect.MessageDescriptor) (end int) {
	if w.text[i] == '{' {
		if isFullPayload(w.text, i, desc) {
			return w.message(i, desc)
		}
		if w.spell {
			w.edits.insert(i+1, `"metadata":{}`)
			if w.text[w.skipSpace(i+1)] != '}' {
				w.edits.insert(i+1, `,`)
			}
			return w.endOfValue(i)
		}
	}
	w.plainValue(i)
	end = w.endOfValue(i)
	w.edits.replace(i, end, fullPayload(w.text, i))
	return end
}

// plainValue looks for duplicate names in a value that becomes a payload: its
// readers would differ on which of the two counts.
func (w *walk) plainValue(i int) (end int) {
	switch w.text[i] {
	case '{':
		var seen nameSet
		return w.members(i, func(key, value int) int {
			name := w.unquote(key)
			return w.within(w.at.key(name), func() int {
				if !seen.add(name) {
					w.problem(ErrDuplicate, "the name is there already")
				}
				return w.plainValue(value)
			})
		})
	case '[':
		return w.elements(i, func(n, value int) int {
			return w.within(w.at.index(n), func() int { return w.plainValue(value) })
		})
	}
	return w.endOfValue(i)
}

// fieldSet holds the fields that an object has had so far.
type fieldSet struct {
	fields  []protoreflect.FieldNumber
	choices []int
}

// addField reports whether the field is there for the first time.
func (s *fieldSet) addField(field protoreflect.FieldDescriptor) bool {
	for _, number := range s.fields {
		if number == field.Number() {
			return false
		}
	}
	s.fields = append(s.fields, field.Number())
	return true
}

// addChoice reports whether the field is the first of its oneof.
func (s *fieldSet) addChoice(field protoreflect.FieldDescriptor) bool {
	choice := field.ContainingOneof()
	if choice == nil {
		return true
	}
	for _, index := range s.choices {
		if index == choice.Index() {
			return false
		}
	}
	s.choices = append(s.choices, choice.Index())
	return true
}

// nameSet holds the names that an object has had so far. The first one costs
// no map: most have no second.
type nameSet struct {
	first string
	any   bool
	rest  map[string]bool
}

// add reports whether the name is there for the first time.
func (s *nameSet) add(name string) bool {
	switch {
	case !s.any:
		s.first, s.any = name, true
		return true
	case name == s.first || s.rest[name]:
		return false
	case s.rest == nil:
		s.rest = make(map[string]bool)
	}
	s.rest[name] = true
	return true
}

// edits are changes to a text, in the order of their places.
type edits []edit

type edit struct {
	from, to int
	with     []byte
}

func (e *edits) insert(at int, s string) { e.replace(at, at, []byte(s)) }

func (e *edits) replace(from, to int, with []byte) {
	*e = append(*e, edit{from, to, with})
}

// apply is t with the changes, or t itself if there are none.
func (e edits) apply(t text) []byte {
	if len(e) == 0 {
		return t
	}
	var out []byte
	from := 0
	for _, edit := range e {
		out = append(out, t[from:edit.from]...)
		out = append(out, edit.with...)
		from = edit.to
	}
	return append(out, t[from:]...)
}
