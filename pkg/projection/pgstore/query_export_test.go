package pgstore

import "github.com/annals-io/annals/pkg/searchattribute"

// Statement is what Postgres gets for a list.
func (q ListQuery) Statement(types map[string]searchattribute.Type) (string, []any, error) {
	l, err := q.compile(askable{types: types})
	if err != nil {
		return "", nil, err
	}
	sql, args := l.statement()
	return sql, args, nil
}

// Statement is what Postgres gets for a count.
func (q CountQuery) Statement(types map[string]searchattribute.Type) (string, []any, error) {
	n, err := q.compile(askable{types: types})
	if err != nil {
		return "", nil, err
	}
	sql, args := n.statement()
	return sql, args, nil
}
