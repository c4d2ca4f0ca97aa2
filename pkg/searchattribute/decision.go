package searchattribute

import (
	"encoding/json"
	"fmt"

	"github.com/annals-io/annals/pkg/events"
)

// The kinds of decisions that the registry is made of.
const (
	// KindRegistration gives an attribute its type. Key: the attribute's name.
	KindRegistration = "search-attribute"
	// KindConflict is the first of a sort of conflict. Key: "<sort>.<found>.<name>".
	KindConflict = "search-attribute-conflict"
)

// Sort is why something is a conflict.
type Sort string

const (
	// SortType: a value says that it has another type. Found is the one that it
	// names, "unknown" if there is no such type.
	SortType Sort = "type"
	// SortValue: a value is none of the type, whatever it says. Found is what it is
	// in JSON.
	SortValue Sort = "value"
	// SortRegistration: it was registered again with another type, which Found is.
	SortRegistration Sort = "registration"
)

// registration is the content of a decision of KindRegistration.
type registration struct {
	Type string `json:"type"`
}

// conflict is the content of a decision of KindConflict.
type conflict struct {
	Name  string `json:"name"`
	Sort  Sort   `json:"sort"`
	Found string `json:"found"`
	Type  string `json:"type"` // that the attribute had
}

// Topic is what the registrations of an attribute are about.
func Topic(namespace, name string) events.Topic {
	return events.Topic{Namespace: namespace, Kind: KindRegistration, Key: name}
}

// Registration is the decision that an attribute has a type. It says neither who
// decides nor why. It fails with events.ErrInvalid on a name that cannot be
// registered, and on no type.
func Registration(namespace, name string, t Type) (events.Decision, error) {
	if err := CheckName(name); err != nil {
		return events.Decision{}, err
	}
	if t == 0 {
		return events.Decision{}, &events.InvalidError{Field: "type", Reason: "is none"}
	}
	content, err := json.Marshal(registration{Type: t.String()})
	if err != nil {
		return events.Decision{}, err
	}
	d := events.Decision{Topic: Topic(namespace, name), Content: content}
	return d, d.Topic.Validate()
}

func conflictTopic(k conflictKey) events.Topic {
	return events.Topic{Namespace: k.namespace, Kind: KindConflict, Key: string(k.sort) + "." + k.found + "." + k.name}
}

func conflictDecision(k conflictKey, t Type) (events.Decision, error) {
	content, err := json.Marshal(conflict{Name: k.name, Sort: k.sort, Found: k.found, Type: t.String()})
	if err != nil {
		return events.Decision{}, fmt.Errorf("conflict of %s: %w", k.name, err)
	}
	return events.Decision{Topic: conflictTopic(k), Content: content}, nil
}
