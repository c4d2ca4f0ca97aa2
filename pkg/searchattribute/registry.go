package searchattribute

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// Attribute is a registered search attribute.
type Attribute struct {
	Namespace, Name string
	// Type is zero where the registration is of a later version: then TypeName says
	// what it is, and this version neither registers it nor judges its values.
	Type     Type
	TypeName string
	Place
}

// Conflict is the first of a sort of conflict with an attribute's type.
type Conflict struct {
	Namespace, Name string
	Sort            Sort
	Found           string
	TypeName        string // that the attribute had
	Place
}

// Place is where a decision stands, and what led to it.
type Place struct {
	Sequence uint64          // in the control stream
	Time     time.Time       // when it was decided
	Cause    events.Position // of the commit that had the value; zero for a command
	By       string
}

type key struct{ namespace, name string }

type conflictKey struct {
	key
	sort  Sort
	found string
}

// Registry is the fold of a control stream, up to a sequence. It is safe for
// concurrent use by readers.
type Registry struct {
	last       events.StoredDecision // the last message that it knows, decision or not
	attributes map[key]Attribute
	conflicts  map[conflictKey]Conflict
	// topics holds the sequence of each topic's last message.
	topics map[events.Topic]uint64
	// Unknown counts decisions of kinds that the registry is not made of, and
	// Foreign messages that are no decisions.
	Unknown, Foreign int
}

// New is a registry of nothing.
func New() *Registry {
	return &Registry{attributes: map[key]Attribute{}, conflicts: map[conflictKey]Conflict{}, topics: map[events.Topic]uint64{}}
}

// Load folds the control stream up to a sequence, inclusive; 0: up to its end. It
// fails with events.ErrWrongLog if the stream ends before.
func Load(ctx context.Context, control events.Control, until uint64) (*Registry, error) {
	r := New()
	for d, err := range control.Decisions(ctx, 0) {
		if err := r.Apply(d, err); err != nil {
			return nil, fmt.Errorf("load the registry of search attributes: %w", err)
		}
		if d.Sequence == until {
			return r, nil
		}
	}
	if r.Sequence() < until {
		return nil, &events.WrongLogError{
			What: "control stream", Want: fmt.Sprintf("to have sequence %d", until), Got: fmt.Sprintf("an end at %d", r.Sequence()),
		}
	}
	return r, nil
}

// Apply folds what an iteration over the control stream yields next: a decision,
// or a message that is none with its error, which is counted and passed. Any other
// error is given back.
func (r *Registry) Apply(d events.StoredDecision, err error) error {
	var foreign *events.CorruptDecisionError
	switch {
	case errors.As(err, &foreign):
		r.Foreign++
	case err != nil:
		return err
	case d.Topic.Kind == KindRegistration:
		r.register(d)
	case d.Topic.Kind == KindConflict:
		r.note(d)
	default:
		r.Unknown++
	}
	r.last = d
	if d.Topic != (events.Topic{}) {
		r.topics[d.Topic] = d.Sequence
	}
	return nil
}

func placeOf(d events.StoredDecision) Place {
	return Place{Sequence: d.Sequence, Time: d.Time, Cause: d.Cause, By: d.By}
}

// register gives an attribute its type. The first registration stands; another
// type afterwards is a conflict.
func (r *Registry) register(d events.StoredDecision) {
	var content registration
	if err := json.Unmarshal(d.Content, &content); err != nil || CheckName(d.Topic.Key) != nil {
		r.Unknown++
		return
	}
	k := key{d.Topic.Namespace, d.Topic.Key}
	a, ok := r.attributes[k]
	switch {
	case !ok:
		r.attributes[k] = Attribute{Namespace: k.namespace, Name: k.name, Type: typesByName[content.Type], TypeName: content.Type, Place: placeOf(d)}
	case a.TypeName != content.Type:
		r.conflict(conflictKey{k, SortRegistration, content.Type}, a.TypeName, d)
	}
}

// note keeps a conflict that a value led to.
func (r *Registry) note(d events.StoredDecision) {
	var c conflict
	err := json.Unmarshal(d.Content, &c)
	k := conflictKey{key{d.Topic.Namespace, c.Name}, c.Sort, c.Found}
	if err != nil || conflictTopic(k) != d.Topic {
		r.Unknown++
		return
	}
	r.conflict(k, c.Type, d)
}

func (r *Registry) conflict(k conflictKey, had string, d events.StoredDecision) {
	if _, ok := r.conflicts[k]; !ok {
		r.conflicts[k] = Conflict{Namespace: k.namespace, Name: k.name, Sort: k.sort, Found: k.found, TypeName: had, Place: placeOf(d)}
	}
}

// clone is a copy that can be gone on with.
func (r *Registry) clone() *Registry {
	c := *r
	c.attributes, c.conflicts, c.topics = maps.Clone(r.attributes), maps.Clone(r.conflicts), maps.Clone(r.topics)
	return &c
}

// Sequence is that of the last message of the control stream that it knows; 0: none.
func (r *Registry) Sequence() uint64 { return r.last.Sequence }

// CommitID is that of this message; empty if it is no decision.
func (r *Registry) CommitID() events.CommitID { return r.last.CommitID }

// Last is the sequence of a topic's last message, which the next decision on it
// expects; 0: it has none.
func (r *Registry) Last(t events.Topic) uint64 { return r.topics[t] }

// Attribute is what is registered under a name.
func (r *Registry) Attribute(namespace, name string) (Attribute, bool) {
	a, ok := r.attributes[key{namespace, name}]
	return a, ok
}

// Type is an attribute's type, whether it was registered or is Temporal's own. A
// type of a later version is 0, and ok.
func (r *Registry) Type(namespace, name string) (t Type, ok bool) {
	if a, ok := r.attributes[key{namespace, name}]; ok {
		return a.Type, true
	}
	return Predefined(name)
}

// Len is the number of attributes and of conflicts.
func (r *Registry) Len() (attributes, conflicts int) { return len(r.attributes), len(r.conflicts) }

// Attributes yields those of a namespace, of all if it is empty, by namespace and
// name.
func (r *Registry) Attributes(namespace string) iter.Seq[Attribute] {
	return func(yield func(Attribute) bool) {
		keys := slices.SortedFunc(maps.Keys(r.attributes), compareKeys)
		for _, k := range keys {
			if (namespace == "" || k.namespace == namespace) && !yield(r.attributes[k]) {
				return
			}
		}
	}
}

// Conflicts yields those of a namespace, of all if it is empty, by namespace, name,
// sort and what was found.
func (r *Registry) Conflicts(namespace string) iter.Seq[Conflict] {
	return func(yield func(Conflict) bool) {
		keys := slices.SortedFunc(maps.Keys(r.conflicts), func(a, b conflictKey) int {
			return cmp.Or(compareKeys(a.key, b.key), cmp.Compare(a.sort, b.sort), cmp.Compare(a.found, b.found))
		})
		for _, k := range keys {
			if (namespace == "" || k.namespace == namespace) && !yield(r.conflicts[k]) {
				return
			}
		}
	}
}

func compareKeys(a, b key) int {
	return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
}
