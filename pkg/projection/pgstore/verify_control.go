package pgstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/postgres"
	"github.com/annals-io/annals/pkg/searchattribute"
)

// The tables of the registry, as a report names them.
const (
	attributeTable = "search_attributes"
	conflictTable  = "search_attribute_conflicts"
)

// awaitControl waits until the tables have come to the end of the control stream,
// at most as long as said, and gives that end. Where one workflow is verified it is
// not about the registry.
func (v *verifying) awaitControl(ctx context.Context) (end uint64, err error) {
	if v.o.Workflow != nil {
		return 0, nil
	}
	b, err := v.log.DecisionBounds(ctx)
	if err != nil {
		return 0, err
	}
	return b.Last, waitUntil(ctx, v.o.Wait, func() (bool, error) {
		c, _, err := postgres.ReadControlCheckpoint(ctx, v.store.pool)
		return c.Sequence >= b.Last, err
	})
}

// control compares the tables of the registry with the fold of the control stream,
// up to their checkpoint.
func (v *verifying) control(ctx context.Context, end uint64) error {
	if v.o.Workflow != nil {
		return nil
	}
	c, there, err := postgres.ReadControlCheckpoint(ctx, v.tx)
	if err != nil {
		return err
	}
	id := v.log.Identity()
	if there && (c.LogID != id.LogID || c.LogEpoch != id.Epoch) {
		v.differs(Difference{Kind: KindCheckpoint, Where: fmt.Sprintf(
			"control stream: the tables were made from log %s in epoch %d, this is %s in epoch %d", c.LogID, c.LogEpoch, id.LogID, id.Epoch)})
		return nil
	}
	if c.Sequence < end {
		v.differs(Difference{Kind: KindLag, Where: fmt.Sprintf("control stream: the tables have decisions up to %d, it ends at %d", c.Sequence, end)})
	}
	want := searchattribute.New()
	if c.Sequence > 0 {
		for d, err := range v.log.Decisions(ctx, 0) {
			if err := want.Apply(d, err); err != nil {
				return err
			}
			if d.Sequence == c.Sequence {
				break
			}
		}
		if want.Sequence() < c.Sequence || want.CommitID() != c.CommitID {
			v.differs(Difference{Kind: KindCheckpoint, Where: fmt.Sprintf(
				"control stream: the tables have decisions up to %d, commit id %q; the stream has %q at %d: it was lost or made anew", c.Sequence, c.CommitID, want.CommitID(), want.Sequence())})
			return nil
		}
	}
	got, err := postgres.ReadRegistry(ctx, v.tx)
	if err != nil {
		return err
	}
	v.compareRegistry(attributeTable, attributeRows(slices.Collect(want.Attributes(""))), attributeRows(got.Attributes))
	v.compareRegistry(conflictTable, conflictRows(slices.Collect(want.Conflicts(""))), conflictRows(got.Conflicts))
	return nil
}

// registryRow is a row of either table: its key as a text, and the other columns.
type registryRow struct {
	key    string
	values []registryValue
}

type registryValue struct{ column, value string }

func attributeRows(list []searchattribute.Attribute) (rows []registryRow) {
	for _, a := range list {
		rows = append(rows, registryRow{
			"namespace " + a.Namespace + " name " + a.Name,
			append([]registryValue{{"type", a.TypeName}}, placeValues(a.Place, "registered")...),
		})
	}
	return rows
}

func conflictRows(list []searchattribute.Conflict) (rows []registryRow) {
	for _, c := range list {
		rows = append(rows, registryRow{
			"namespace " + c.Namespace + " name " + c.Name + " sort " + string(c.Sort) + " found " + c.Found,
			append([]registryValue{{"type", c.TypeName}}, placeValues(c.Place, "noted")...),
		})
	}
	return rows
}

func placeValues(p searchattribute.Place, done string) []registryValue {
	partition, sequence := null, null
	if p.Cause != (events.Position{}) {
		partition, sequence = strconv.Itoa(int(p.Cause.Partition)), strconv.FormatUint(p.Cause.Sequence, 10)
	}
	return []registryValue{
		{"sequence", strconv.FormatUint(p.Sequence, 10)},
		{done + "_at", p.Time.UTC().Format(time.RFC3339Nano)},
		{done + "_by", p.By},
		{"cause_partition", partition},
		{"cause_sequence", sequence},
	}
}

// compareRegistry holds a table's rows against those that the control stream says.
func (v *verifying) compareRegistry(table string, want, got []registryRow) {
	byKey := func(a, b registryRow) int { return cmp.Compare(a.key, b.key) }
	slices.SortFunc(want, byKey)
	slices.SortFunc(got, byKey)
	if len(got) > 0 {
		v.report.Rows[table] += int64(len(got))
	}
	for len(want) > 0 || len(got) > 0 {
		order := -1
		switch {
		case len(want) == 0:
			order = 1
		case len(got) > 0:
			order = byKey(want[0], got[0])
		}
		switch {
		case order < 0:
			v.differs(Difference{Kind: KindMissing, Where: "annals." + table + " " + want[0].key})
			want = want[1:]
		case order > 0:
			v.differs(Difference{Kind: KindExtra, Where: "annals." + table + " " + got[0].key})
			got = got[1:]
		default:
			for i, w := range want[0].values {
				if g := got[0].values[i]; g != w {
					v.differs(Difference{Kind: KindColumn, Where: fmt.Sprintf(
						"annals.%s %s column %s: the table has %s, the control stream says %s", table, want[0].key, w.column, shown(g.value), shown(w.value))})
				}
			}
			want, got = want[1:], got[1:]
		}
	}
}
