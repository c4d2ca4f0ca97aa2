package filter

import (
	"maps"
	"slices"
	"strings"

	"github.com/annals-io/annals/pkg/searchattribute"
)

// The prefixes with which a field may stand: Temporal's for its own, and that of
// the fields that are of Annals alone.
const (
	temporalPrefix = "Temporal"
	annalsPrefix   = "Annals"
)

// divisionAttribute is set on the runs that Temporal's server makes for its own
// ends, schedules and batches. Queries that do not mention it do not see them.
const divisionAttribute = "TemporalNamespaceDivision"

// OutsideDivisions is true of the runs that a query sees which mentions no
// namespace division.
const OutsideDivisions = "NOT search_values ? '" + divisionAttribute + "'"

// resolver finds fields by the names that a query has for them.
type resolver struct {
	attributes map[string]searchattribute.Type
	// mentioned is set once a name was that of the namespace division.
	mentioned bool
	// guessed is set once a name was found among the attributes, or one that an
	// attribute which is registered later would take.
	guessed bool
	// noEvents: there are no rows of events; events is set once a name asked for them.
	noEvents, events bool
}

// resolve gives the field, or why there is none; unknown says that a registration
// would make it one.
func (r *resolver) resolve(name string) (f *field, reason string, unknown bool) {
	f, guessed := r.find(name)
	if f == nil {
		return nil, "unknown field " + quoted(name) + r.advice(name), true
	}
	if f.refused != "" {
		return nil, f.refused, false
	}
	if f.ofEvents {
		if r.noEvents {
			return nil, f.name + ": the tables keep no rows of events; annals projection rebuild --events index makes such", true
		}
		r.events = true
	}
	r.guessed = r.guessed || guessed
	r.mentioned = r.mentioned || f.attribute == divisionAttribute
	return f, "", false
}

// find goes by Temporal's order: a registered attribute, a field or an attribute of
// Temporal's, the same with the prefix or without it.
func (r *resolver) find(name string) (f *field, guessed bool) {
	if f := temporals(name); f != nil {
		return f, false
	}
	if t, ok := r.attributes[name]; ok {
		return attributeField(name, t), true
	}
	if f := named(ownFields, strings.TrimPrefix(name, annalsPrefix)); f != nil {
		return f, true
	}
	bare, has := strings.CutPrefix(name, temporalPrefix)
	switch {
	case bare == "ScheduleId": // what a schedule's own workflow is called
		return temporals("WorkflowId"), true
	case has:
		return temporals(bare), true
	default:
		return temporals(temporalPrefix + name), true
	}
}

// temporals are the fields that no registration can take the name of.
func temporals(name string) *field {
	if f := named(systemFields, name); f != nil {
		return f
	}
	if t, ok := searchattribute.Predefined(name); ok {
		return attributeField(name, t)
	}
	return nil
}

func named(fields []*field, name string) *field {
	i := slices.IndexFunc(fields, func(f *field) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return fields[i]
}

func attributeField(name string, t searchattribute.Type) *field {
	k, ok := attributeKinds[t]
	if !ok {
		return &field{name: name, refused: "search attribute " + quoted(name) + " has a type that only a later version of Annals knows"}
	}
	return &field{name: name, attribute: name, kind: k, nullable: true}
}

// advice is what to do about a name that is unknown.
func (r *resolver) advice(name string) string {
	custom := slices.Sorted(maps.Keys(r.attributes))
	var all []string
	for _, f := range slices.Concat(systemFields, ownFields) {
		all = append(all, f.name)
	}
	all = append(all, searchattribute.PredefinedNames()...)
	if meant := nearest(name, append(all, custom...)); meant != "" {
		return ", did you mean " + meant + "?"
	}
	s := "; there are " + names(systemFields) + ", " + names(ownFields) + ", Temporal's own search attributes, and "
	const shown = 20
	switch {
	case len(custom) == 0:
		return s + "no other: the namespace has registered none (annals search-attribute add)"
	case len(custom) <= shown:
		return s + "those that the namespace has registered: " + strings.Join(custom, ", ")
	default:
		return s + "those that the namespace has registered (annals search-attribute list)"
	}
}
