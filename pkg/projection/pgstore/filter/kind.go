package filter

import (
	"slices"

	"github.com/temporalio/sqlparser"
)

// kind is what the values of a field are, and what can be asked about them.
type kind struct {
	name string // with its article, for messages
	// operators that there are.
	operators []string
	// remedy says what to do instead of an operator that there is not; may be empty.
	remedy string
	// parse makes a value of what a filter writes, or says why it is none.
	parse func(literal) (any, string)
	// cast is the type of a parameter for a column of this kind.
	cast string
	// grouped says that a count can be grouped by it.
	grouped bool
	// ordered says that a list can be ordered by it.
	ordered bool
}

// Operators, as the parser names them.
var (
	equalities = []string{sqlparser.EqualStr, sqlparser.NotEqualStr, sqlparser.InStr, sqlparser.NotInStr}
	orders     = []string{sqlparser.LessThanStr, sqlparser.LessEqualStr, sqlparser.GreaterThanStr, sqlparser.GreaterEqualStr}
	ranges     = []string{sqlparser.BetweenStr, sqlparser.NotBetweenStr}
	prefixes   = []string{sqlparser.StartsWithStr, sqlparser.NotStartsWithStr}
	patterns   = []string{sqlparser.LikeStr, sqlparser.NotLikeStr}
	absences   = []string{sqlparser.IsNullStr, sqlparser.IsNotNullStr}
	equality   = []string{sqlparser.EqualStr, sqlparser.NotEqualStr}
)

// opposites are the operators that say that another does not hold.
var opposites = map[string]string{
	sqlparser.NotEqualStr: sqlparser.EqualStr, sqlparser.NotInStr: sqlparser.InStr, sqlparser.NotLikeStr: sqlparser.LikeStr,
	sqlparser.NotStartsWithStr: sqlparser.StartsWithStr, sqlparser.NotBetweenStr: sqlparser.BetweenStr, sqlparser.IsNullStr: sqlparser.IsNotNullStr,
}

var (
	scalar = slices.Concat(equalities, orders, ranges, absences)

	keyword  = kind{name: "a text", operators: append(slices.Clone(scalar), prefixes...), remedy: "STARTS_WITH finds a prefix", parse: parseText, cast: "text", grouped: true, ordered: true}
	status   = kind{name: "a status", operators: scalar, parse: parseStatus, cast: "text", grouped: true, ordered: true}
	datetime = kind{name: "a time", operators: scalar, parse: parseTime, cast: "timestamptz", ordered: true}
	duration = kind{name: "a duration", operators: scalar, parse: parseDuration, cast: "bigint", ordered: true}
	whole    = kind{name: "a number", operators: scalar, parse: parseNumber, cast: "bigint", grouped: true, ordered: true}
	double   = kind{name: "a number", operators: scalar, parse: parseNumber, cast: "numeric", ordered: true}
	boolean  = kind{name: "a boolean", operators: slices.Concat(equalities, orders, absences), parse: parseBool, cast: "boolean", grouped: true, ordered: true}
	day      = kind{name: "a day", operators: scalar, parse: parseDay, cast: "date", grouped: true, ordered: true}
	keywords = kind{name: "a list of texts", operators: append(slices.Clone(equalities), absences...), remedy: "= and IN find an element", parse: parseText, cast: "text"}
	words    = kind{name: "a text of words", operators: append(slices.Clone(equality), absences...), remedy: "= finds any of the words", parse: parseWords, cast: "text"}

	// Those of sets.
	element   = kind{name: "a set of texts", operators: slices.Concat(equalities, prefixes, patterns, absences), parse: parseText, cast: "text"}
	message   = kind{name: "the messages of a failure", operators: element.operators, remedy: "LIKE finds a part", parse: parseText, cast: "text"}
	eventName = kind{name: "a set of texts", operators: slices.Concat(equalities, prefixes, patterns), parse: parseText, cast: "text"}
	eventType = kind{name: "a set of event types", operators: equalities, parse: parseEventType, cast: "text"}
	before    = kind{name: "true of a time or not", operators: append(slices.Clone(equality), absences...), remedy: "PendingTimerBefore = '2026-01-31T09:00:00Z' is true where a timer that is pending is due before", parse: parseTime, cast: "timestamptz"}
)
