package pgstore

import "slices"

// DescribedColumns are "table.column type" of all tables, by table and place.
func DescribedColumns() []string {
	var out []string
	byName := slices.Clone(tables)
	slices.SortFunc(byName, func(a, b *table) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	for _, t := range byName {
		for _, c := range t.all() {
			out = append(out, t.short()+"."+c.name+" "+c.pgType)
		}
	}
	return out
}
