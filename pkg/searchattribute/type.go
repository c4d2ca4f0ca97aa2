package searchattribute

import (
	"fmt"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/annals-io/annals/pkg/events"
)

// Type is what the values of an attribute are: one of Temporal's. Zero is a type
// that this version does not know.
type Type enumspb.IndexedValueType

// The types.
const (
	Text        = Type(enumspb.INDEXED_VALUE_TYPE_TEXT)         // searched by its words
	Keyword     = Type(enumspb.INDEXED_VALUE_TYPE_KEYWORD)      // compared as a whole
	Int         = Type(enumspb.INDEXED_VALUE_TYPE_INT)          // 64 bits, signed
	Double      = Type(enumspb.INDEXED_VALUE_TYPE_DOUBLE)       // 64 bits, finite
	Bool        = Type(enumspb.INDEXED_VALUE_TYPE_BOOL)         // true or false
	Datetime    = Type(enumspb.INDEXED_VALUE_TYPE_DATETIME)     // RFC 3339
	KeywordList = Type(enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST) // of keywords
)

// Types are all of them, by name.
var Types = []Type{Bool, Datetime, Double, Int, Keyword, KeywordList, Text}

// String is Temporal's name of the type.
func (t Type) String() string {
	if t == 0 {
		return "unknown"
	}
	return enumspb.IndexedValueType(t).String()
}

// MarshalText is the name of a type.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// typesByName holds a type under both of the names that Temporal writes.
var typesByName = func() map[string]Type {
	byName := map[string]Type{}
	for _, t := range Types {
		byName[t.String()] = t
		byName[enumspb.IndexedValueType_name[int32(t)]] = t
	}
	return byName
}()

// TypeNamed is the type that has exactly this name, as registrations and values
// have it; 0 if there is none.
func TypeNamed(name string) Type { return typesByName[name] }

// ParseType reads a type's name, whatever its case. It fails with events.ErrInvalid.
func ParseType(name string) (Type, error) {
	if t, ok := typesByName[name]; ok {
		return t, nil
	}
	names := make([]string, len(Types))
	for i, t := range Types {
		if strings.EqualFold(t.String(), name) {
			return t, nil
		}
		names[i] = t.String()
	}
	return 0, &events.InvalidError{Field: "type", Reason: fmt.Sprintf("is %q, there are %s", name, strings.Join(names, ", "))}
}
