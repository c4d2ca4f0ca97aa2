package filter

import (
	"strings"
	"time"

	"github.com/temporalio/sqlparser"
)

// field is something that a filter can ask about.
type field struct {
	name    string // as users write it
	column  string // of annals.executions
	kind    *kind
	ordered bool // a list can be ordered by it: an index has that order
	grouped bool // a count can be grouped by it
}

// fields are all of them. One more is one more line, here and in the package's doc.
var fields = []*field{
	{name: "WorkflowId", column: "workflow_id", kind: &keyword},
	{name: "RunId", column: "run_id", kind: &keyword},
	{name: "WorkflowType", column: "workflow_type", kind: &keyword, grouped: true},
	{name: "ExecutionStatus", column: "status", kind: &status, grouped: true},
	{name: "StartTime", column: "start_time", kind: &datetime, ordered: true},
}

// lookup finds a field by its name; where there is none it gives the reason, and
// names those that are wanted.
func lookup(name string, wanted func(*field) bool) (*field, string) {
	for _, f := range fields {
		if f.name == name {
			return f, ""
		}
	}
	for _, f := range fields {
		if strings.EqualFold(f.name, name) {
			return nil, "unknown field " + quoted(name) + ", did you mean " + f.name + "?"
		}
	}
	return nil, "unknown field " + quoted(name) + "; there are " + names(wanted)
}

func filterable(*field) bool  { return true }
func isOrdered(f *field) bool { return f.ordered }
func isGrouped(f *field) bool { return f.grouped }

// names lists the fields that are wanted, for messages.
func names(wanted func(*field) bool) string {
	var list []string
	for _, f := range fields {
		if wanted(f) {
			list = append(list, f.name)
		}
	}
	return strings.Join(list, ", ")
}

// Operators of conditions, as the parser names them.
var (
	equalities = []string{sqlparser.EqualStr, sqlparser.NotEqualStr, sqlparser.InStr, sqlparser.NotInStr}
	ranges     = []string{
		sqlparser.LessThanStr, sqlparser.LessEqualStr, sqlparser.GreaterThanStr, sqlparser.GreaterEqualStr,
		sqlparser.BetweenStr, sqlparser.NotBetweenStr,
	}
)

func orderedOperators() []string { return append(append([]string(nil), equalities...), ranges...) }

// kind is what the values of a field are.
type kind struct {
	name string // with its article, for messages
	// operators that make sense.
	operators []string
	// parse makes a parameter of a value, or says why it is none.
	parse func(literal) (any, string)
	// list makes one parameter of many.
	list func([]any) any
}

var (
	keyword  = kind{name: "a text", operators: orderedOperators(), parse: parseKeyword, list: listOf[string]}
	status   = kind{name: "a status", operators: equalities, parse: parseStatus, list: listOf[string]}
	datetime = kind{name: "a time", operators: orderedOperators(), parse: parseTime, list: listOf[time.Time]}
)
