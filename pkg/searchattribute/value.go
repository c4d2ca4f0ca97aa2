package searchattribute

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

// The metadata of a payload that is a value.
const (
	metaType     = "type"
	metaEncoding = "encoding"
)

// Fields are the values that an event sets, by attribute; nil for nearly all events.
func Fields(e *events.Event) map[string]*commonpb.Payload {
	switch e.EventType {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
		return e.GetWorkflowExecutionStartedEventAttributes().GetSearchAttributes().GetIndexedFields()
	case enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
		return e.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields()
	default:
		return nil
	}
}

// Deletes reports whether a value says that the attribute has none: it is nil,
// null or an empty list, as Temporal has it.
func Deletes(p *commonpb.Payload) bool {
	if p == nil || string(p.Metadata[metaEncoding]) == "binary/null" {
		return true
	}
	d := bytes.TrimSpace(p.Data)
	return len(d) == 0 || string(d) == "null" || d[0] == '[' && string(bytes.TrimSpace(d[1:])) == "]"
}

// TypeOf is the type that a value says it has. said is false if it says none; a
// type that is not known here is 0.
func TypeOf(p *commonpb.Payload) (t Type, said bool) {
	name, ok := p.GetMetadata()[metaType]
	if !ok || len(name) == 0 {
		return 0, false
	}
	return typesByName[string(name)], true
}

// errNotOfType: see Value.
var errNotOfType = errors.New("is not of the type")

// Value is a value as its attribute's type has it: a string (Text, Keyword), int64,
// float64, bool, time.Time in UTC, or []string. Where the type is no list, a list
// of one value is that value, as SDKs have written it; a KeywordList that is one
// text is a list of it. The type that the value says it has is not looked at. It
// fails where the value is none of the type. A value that Deletes is none of any.
func Value(t Type, p *commonpb.Payload) (any, error) {
	if encoding := string(p.GetMetadata()[metaEncoding]); encoding != "" && encoding != "json/plain" {
		return nil, fmt.Errorf("%w: its encoding is %.80q", errNotOfType, encoding)
	}
	data := bytes.TrimSpace(p.GetData())
	isList := len(data) > 0 && data[0] == '['
	if t == KeywordList {
		return keywords(data, isList)
	}
	if isList {
		list, err := one[[]json.RawMessage](data)
		if err != nil || len(list) != 1 {
			return nil, errNotOfType
		}
		data = list[0]
	}
	switch t {
	case Text, Keyword:
		return boxed(one[string](data))
	case Bool:
		return boxed(one[bool](data))
	case Int:
		return boxed(integer(data))
	case Double:
		return boxed(one[float64](data)) // JSON has no infinity, and what is too large for one is refused
	case Datetime:
		return boxed(datetime(data))
	default:
		return nil, errNotOfType
	}
}

// boxed is a value, or nil beside an error.
func boxed[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// one reads a JSON value that is a T and not null.
func one[T any](data []byte) (T, error) {
	var v *T
	if err := json.Unmarshal(data, &v); err != nil || v == nil {
		var none T
		return none, errNotOfType
	}
	return *v, nil
}

func keywords(data []byte, isList bool) (any, error) {
	if !isList {
		s, err := one[string](data)
		return boxed([]string{s}, err)
	}
	list, err := one[[]*string](data)
	if err != nil || len(list) == 0 {
		return nil, errNotOfType
	}
	out := make([]string, len(list))
	for i, s := range list {
		if s == nil {
			return nil, errNotOfType
		}
		out[i] = *s
	}
	return out, nil
}

// maxExact is up to where every whole number is a float64 of its own.
const maxExact = 1 << 53

// integer reads a whole number; one that is written as a float (1.0, 1e3) is one.
func integer(data []byte) (int64, error) {
	if v, err := one[int64](data); err == nil {
		return v, nil
	}
	f, err := one[float64](data)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > maxExact {
		return 0, errNotOfType
	}
	return int64(f), nil
}

func datetime(data []byte) (time.Time, error) {
	s, err := one[string](data)
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, errNotOfType
	}
	return at.UTC(), nil
}
