package eventjson

import (
	"encoding/json"
	"strings"
	"sync"

	"go.temporal.io/api/temporalproto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// enumNames holds, by the enum's full name, the set of names that its values
// go by.
var enumNames sync.Map // protoreflect.FullName to map[string]bool

// knowsEnumName reports whether Temporal's decoder reads name as a value of
// the enum field. The two usual spellings are looked up; it is asked about any
// other, since it takes more of them than it documents.
func knowsEnumName(field protoreflect.FieldDescriptor, name string) bool {
	enum := field.Enum()
	cached, ok := enumNames.Load(enum.FullName())
	if !ok {
		cached, _ = enumNames.LoadOrStore(enum.FullName(), namesOf(enum))
	}
	if cached.(map[string]bool)[name] {
		return true
	}
	value, err := json.Marshal(name)
	return err == nil && decodes(field, value)
}

// namesOf lists the long and the short name of each value of enum.
func namesOf(enum protoreflect.EnumDescriptor) map[string]bool {
	names := make(map[string]bool)
	prefix := screamingSnake(string(enum.Name())) + "_"
	for i := range enum.Values().Len() {
		long := string(enum.Values().Get(i).Name())
		names[long] = true
		if short, ok := strings.CutPrefix(long, prefix); ok {
			names[upperCamel(short)] = true
		}
	}
	return names
}

// screamingSnake turns EventType into EVENT_TYPE.
func screamingSnake(camel string) string {
	var b strings.Builder
	for i, r := range camel {
		if i > 0 && 'A' <= r && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

// upperCamel turns TIMER_FIRED into TimerFired.
func upperCamel(snake string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(snake, "_") {
		if word != "" {
			b.WriteString(word[:1] + strings.ToLower(word[1:]))
		}
	}
	return b.String()
}

// decodes reports whether Temporal's decoder, strict, takes value for the
// field: a single value, also where the field is a list or a map of text.
func decodes(field protoreflect.FieldDescriptor, value []byte) bool {
	message, err := protoregistry.GlobalTypes.FindMessageByName(field.ContainingMessage().FullName())
	if err != nil {
		return false
	}
	doc := []byte(`{"` + field.JSONName() + `":`)
	switch {
	case field.IsList():
		doc = append(append(append(doc, '['), value...), ']')
	case field.IsMap():
		doc = append(append(append(doc, `{"key":`...), value...), '}')
	default:
		doc = append(doc, value...)
	}
	doc = append(doc, '}')
	return temporalproto.CustomJSONUnmarshalOptions{}.Unmarshal(doc, message.New().Interface()) == nil
}
