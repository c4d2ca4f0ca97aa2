package pgstore

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/annals-io/annals/pkg/projection/postgres"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// loadTypes reads which search attributes have a type, and which of them the tables'
// registry lacks.
func (v *verifying) loadTypes(ctx context.Context) error {
	registry, err := searchattribute.Load(ctx, v.log, 0)
	if err != nil {
		return err
	}
	c, _, err := postgres.ReadControlCheckpoint(ctx, v.tx)
	if err != nil {
		return err
	}
	id := v.log.Identity()
	theirs := c.LogID == id.LogID && c.LogEpoch == id.Epoch
	v.types, v.late = registry.Type, map[attributeKey]bool{}
	for a := range registry.Attributes("") {
		if !theirs || a.Sequence > c.Sequence {
			v.late[attributeKey{a.Namespace, a.Name}] = true
		}
	}
	return nil
}

// isLate reports whether two values of a column of executions differ only in search
// attributes whose type has not come to the tables' registry yet.
func (w *comparison) isLate(t *table, column int, namespace, want, got string) bool {
	if t != executionsTable || len(w.late) == 0 {
		return false
	}
	switch t.column(column).name {
	case "search_values":
		return w.withoutLate(namespace, want) == w.withoutLate(namespace, got)
	case "untyped_attributes":
		return w.namesWithoutLate(namespace, want) == w.namesWithoutLate(namespace, got)
	}
	return false
}

func (w *comparison) withoutLate(namespace, values string) string {
	var m map[string]json.RawMessage
	if json.Unmarshal([]byte(values), &m) != nil {
		return values
	}
	for name := range m {
		if w.late[attributeKey{namespace, name}] {
			delete(m, name)
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		return values
	}
	return string(b)
}

// namesWithoutLate takes names out of a canonical list; a null is an empty one.
func (w *comparison) namesWithoutLate(namespace, list string) string {
	if list == null {
		return ""
	}
	for k := range w.late {
		if k.namespace == namespace {
			list = strings.Replace(list, strconv.Quote(k.name), "", 1)
		}
	}
	return list
}
