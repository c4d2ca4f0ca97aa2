package searchattribute

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/annals-io/annals/pkg/events"
)

// MaxAttributes is how many attributes of a namespace values may register, so that
// names which a program makes up do not fill the control stream. A command may
// register more.
const MaxAttributes = 1000

// fullFor is how long a namespace that has so many is not looked at again for a value
// whose attribute is not known: what a command registers meanwhile is known that much
// later here. The tables have its type all the same, by whoever keeps the registry.
const fullFor = time.Second

// Registrar registers attributes and keeps conflicts, in a log's control stream. It
// is safe for concurrent use.
type Registrar struct {
	control events.Control
	by      string
	logger  *slog.Logger
	// registry is never changed once it stands here.
	registry atomic.Pointer[Registry]
	// changing has room for the one caller that goes to the control stream; the
	// others wait for it, each as long as its own context lasts.
	changing chan struct{}
	// full is when a namespace was last found to have MaxAttributes: time.Time by name.
	full sync.Map

	registered, conflicts, refused atomic.Int64
}

// Stats are what a registrar met.
type Stats struct {
	Registered int64 // attributes that it registered
	Conflicts  int64 // values that do not fit their attribute's type
	// Refused are values under names that cannot be registered, or beyond
	// MaxAttributes.
	Refused int64
}

// NewRegistrar registers in a control stream. By says who it is.
func NewRegistrar(control events.Control, by string, logger *slog.Logger) *Registrar {
	if logger == nil {
		logger = slog.Default()
	}
	r := &Registrar{control: control, by: by, logger: logger, changing: make(chan struct{}, 1)}
	r.registry.Store(New())
	return r
}

// Stats are what it met so far.
func (r *Registrar) Stats() Stats {
	return Stats{Registered: r.registered.Load(), Conflicts: r.conflicts.Load(), Refused: r.refused.Load()}
}

// Registry is what the registrar knows: all that it needed so far, and no more.
func (r *Registrar) Registry() *Registry { return r.registry.Load() }

// Meet takes note of the values that an event of the commit at a position sets. An
// attribute without a type gets that of the value, if the value says one; a value
// that does not fit is counted, and the first of its sort is kept. Both are stored
// when Meet returns nil. What is known already costs a look into a map, and an event
// without values less. It fails where the control stream cannot be reached: call it
// again.
func (r *Registrar) Meet(ctx context.Context, w events.Workflow, at events.Position, e *events.Event) error {
	for name, p := range Fields(e) {
		if Deletes(p) {
			continue
		}
		if err := r.meet(ctx, w, at, name, p); err != nil {
			return fmt.Errorf("search attribute %q of %s at %s: %w", name, w, at, err)
		}
	}
	return nil
}

func (r *Registrar) meet(ctx context.Context, w events.Workflow, at events.Position, name string, p *commonpb.Payload) error {
	t, known := r.registry.Load().Type(w.Namespace, name)
	if !known {
		said, ok := TypeOf(p)
		if !ok || said == 0 {
			return nil // nobody has said what it is: its values stay as they are
		}
		registry, err := r.first(ctx, w.Namespace, name, said, at)
		if err != nil {
			return err
		}
		if t, known = registry.Type(w.Namespace, name); !known {
			return nil // refused
		}
	}
	if t == 0 {
		return nil
	}
	sort, found, bad := judge(t, p)
	if !bad {
		return nil
	}
	r.conflicts.Add(1)
	k := conflictKey{key{w.Namespace, name}, sort, found}
	if _, ok := r.registry.Load().conflicts[k]; ok {
		return nil
	}
	return r.keep(ctx, k, t, at)
}

// Fitting is a value as its attribute's type has it, see Value; false where it is a
// conflict with the type, or deletes.
func Fitting(t Type, p *commonpb.Payload) (any, bool) {
	if said, ok := TypeOf(p); ok && said != t {
		return nil, false
	}
	v, err := Value(t, p)
	return v, err == nil
}

// judge holds a value against its attribute's type.
func judge(t Type, p *commonpb.Payload) (sort Sort, found string, bad bool) {
	if said, ok := TypeOf(p); ok && said != t {
		return SortType, said.String(), true
	}
	if _, err := Value(t, p); err != nil {
		return SortValue, shape(p), true
	}
	return "", "", false
}

// shape is what a value is in JSON, roughly.
func shape(p *commonpb.Payload) string {
	if encoding := string(p.GetMetadata()[metaEncoding]); encoding != "" && encoding != "json/plain" {
		return "other encoding"
	}
	for _, c := range p.GetData() {
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			continue
		case c == '"':
			return "string"
		case c == '[':
			return "list"
		case c == '{':
			return "object"
		case c == 't' || c == 'f':
			return "bool"
		case c == '-' || c >= '0' && c <= '9':
			return "number"
		}
		break
	}
	return "no JSON"
}

// first registers an attribute by the first value that says its type, unless it is
// registered already. It gives a registry that knows of it, or of its refusal.
func (r *Registrar) first(ctx context.Context, namespace, name string, t Type, at events.Position) (*Registry, error) {
	d, err := Registration(namespace, name, t)
	if err != nil {
		r.refuse(ctx, namespace, name, err)
		return r.registry.Load(), nil
	}
	if found, full := r.full.Load(namespace); full && time.Since(found.(time.Time)) < fullFor {
		r.refuse(ctx, namespace, name, errFull)
		return r.registry.Load(), nil
	}
	d.Cause, d.By = at, r.by
	registry, _, err := r.until(ctx, d, func(registry *Registry) (bool, error) {
		if _, ok := registry.Attribute(namespace, name); ok {
			return true, nil
		}
		n := 0
		for k := range registry.attributes {
			if k.namespace == namespace {
				n++
			}
		}
		if n >= MaxAttributes {
			r.full.Store(namespace, time.Now())
			r.refuse(ctx, namespace, name, errFull)
			return true, nil
		}
		return false, nil
	})
	return registry, err
}

// errFull is why values under new names register nothing.
var errFull = fmt.Errorf("the namespace has %d attributes, and values register no more", MaxAttributes)

// refuse counts a value that registers nothing; the first is logged.
func (r *Registrar) refuse(ctx context.Context, namespace, name string, why error) {
	if r.refused.Add(1) == 1 {
		r.logger.LogAttrs(ctx, slog.LevelWarn, "a search attribute is not registered; others like it are only counted",
			slog.String("namespace", namespace), slog.String("name", name), slog.Any("error", why))
	}
}

// keep stores the first conflict of a sort.
func (r *Registrar) keep(ctx context.Context, k conflictKey, t Type, at events.Position) error {
	d, err := conflictDecision(k, t)
	if err != nil {
		return err
	}
	d.Cause, d.By = at, r.by
	_, _, err = r.until(ctx, d, func(registry *Registry) (bool, error) {
		_, ok := registry.conflicts[k]
		return ok, nil
	})
	return err
}

// Register gives an attribute a type, by command. existed says that it had this one
// already. It fails with *RegisteredError if it has another, and with
// events.ErrInvalid on a name that cannot be registered.
func (r *Registrar) Register(ctx context.Context, namespace, name string, t Type) (a Attribute, existed bool, err error) {
	d, err := Registration(namespace, name, t)
	if err != nil {
		return Attribute{}, false, err
	}
	d.By = r.by
	registry, decided, err := r.until(ctx, d, func(registry *Registry) (bool, error) {
		a, ok := registry.Attribute(namespace, name)
		if ok && a.Type != t {
			return false, &RegisteredError{Attribute: a, Wanted: t}
		}
		return ok, nil
	})
	if err != nil {
		return Attribute{}, false, err
	}
	a, _ = registry.Attribute(namespace, name)
	return a, !decided, nil
}

// until decides d unless what is decided already will do, of which enough judges.
func (r *Registrar) until(ctx context.Context, d events.Decision, enough func(*Registry) (bool, error)) (registry *Registry, decided bool, err error) {
	select {
	case r.changing <- struct{}{}:
		defer func() { <-r.changing }()
	case <-ctx.Done():
		return nil, false, context.Cause(ctx)
	}
	for {
		registry, err := r.catchUp(ctx)
		if err != nil {
			return nil, false, err
		}
		if done, err := enough(registry); done || err != nil {
			return registry, decided, err
		}
		_, _, err = r.control.Decide(ctx, d, registry.Last(d.Topic))
		switch {
		case err == nil:
			decided = true
			if d.Topic.Kind == KindRegistration {
				r.registered.Add(1)
			}
		case !errors.Is(err, events.ErrConflict):
			return nil, false, err
		}
	}
}

// catchUp reads what the registry does not know of the control stream.
func (r *Registrar) catchUp(ctx context.Context) (*Registry, error) {
	known := r.registry.Load()
	next := known
	for d, err := range r.control.Decisions(ctx, known.Sequence()) {
		if next == known { // most looks find nothing new
			next = known.clone()
		}
		if err := next.Apply(d, err); err != nil {
			return nil, err
		}
	}
	if next != known {
		r.registry.Store(next)
	}
	return next, nil
}
