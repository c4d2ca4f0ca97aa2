package pgstore

// Statement is what Postgres gets for a list.
func (q ListQuery) Statement() (string, []any, error) {
	l, err := q.compile()
	if err != nil {
		return "", nil, err
	}
	sql, args := l.statement()
	return sql, args, nil
}

// Statement is what Postgres gets for a count.
func (q CountQuery) Statement() (string, []any, error) { return q.statement() }
