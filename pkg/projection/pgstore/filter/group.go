package filter

import (
	"strings"
)

// groupsBeside reads the fields that a count is grouped by. A
// field may stand only once.
func groupsBeside(fieldNames []string, r *resolver, p *parameters) ([]Group, error) {
	list := make([]written, len(fieldNames))
	for i, name := range fieldNames {
		list[i].name = strings.TrimSpace(name)
		if quoted, ok := strings.CutPrefix(list[i].name, "`"); ok {
			list[i].name = strings.TrimSuffix(quoted, "`")
		}
	}
	groups, reason, _, unknown := readGroups(list, r, p)
	if reason != "" {
		return nil, beside("groupBy", reason, unknown)
	}
	return groups, nil
}

// groupsWithin reads the GROUP BY that begins at token i.
func (c *compiler) groupsWithin(i int) ([]Group, error) {
	tokens := c.tokens[i+2:] // what is behind the BY
	list, reason, at := listed(c.query, tokens, false)
	if reason != "" {
		return nil, c.failAt(at, "GROUP BY: "+reason, false)
	}
	groups, reason, at, unknown := readGroups(list, c.resolver, c.parameters)
	if reason != "" {
		return nil, c.failAt(at, "GROUP BY: "+reason, unknown)
	}
	return groups, nil
}

func readGroups(list []written, r *resolver, p *parameters) (groups []Group, reason string, at int, unknown bool) {
	seen := make(map[string]bool, len(list))
	groups = make([]Group, 0, len(list))
	for _, w := range list {
		f, reason, unknown := r.resolve(w.name)
		switch {
		case f == nil:
			return nil, reason, w.at, unknown
		case f.notGrouped != "":
			return nil, "a count cannot be grouped by " + f.name + ": " + f.notGrouped, w.at, false
		case !f.kind.grouped || f.isSet():
			return nil, "a count cannot be grouped by " + f.name + ", which is " + f.kind.name, w.at, false
		case seen[f.name]:
			return nil, f.name + " is named twice", w.at, false
		}
		seen[f.name] = true
		expr := p.expression(f)
		if f.kind == &day {
			expr = dayText(expr)
		} else if p.castOf(f) != "text" {
			expr += "::text"
		}
		if f.nullable {
			expr = "coalesce(" + expr + ", '')"
		}
		groups = append(groups, Group{w.name, expr})
	}
	return groups, "", 0, false
}

// dayText writes a date as filters do, whatever the session's style of dates is.
func dayText(expr string) string { return "to_char(" + expr + ", 'YYYY-MM-DD')" }
