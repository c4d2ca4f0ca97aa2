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

// DescribeStatements are what Describe asks, by the key that each is to be found by.
func DescribeStatements() map[string]string {
	return map[string]string{
		"executions_pkey":        executionsSQL + "WHERE slot = $1 AND namespace = $2 AND workflow_id = $3 AND run_id = $4",
		"workflows_pkey":         workflowSQL,
		"activities_pkey":        pendingActivitiesSQL,
		"timers_pkey":            pendingTimersSQL,
		"children_pkey":          pendingChildrenSQL,
		"nexus_operations_pkey":  pendingNexusSQL,
		"updates_pkey":           pendingUpdatesSQL,
		"external_requests_pkey": pendingRequestsSQL,
	}
}

// StatementsOf are what heals and what updates rows of a table of the first generation.
func StatementsOf(s *Store, name string) (remove, update string) {
	for t, w := range s.statementsOf(1).writes {
		if t.name == name {
			return w.remove, w.update
		}
	}
	return "", ""
}

// LoadStatement is what reads back where the fold of workflows left off.
func LoadStatement(s *Store) string { return s.statementsOf(1).load }
