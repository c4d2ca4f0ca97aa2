package filter

import (
	"math"
	"strconv"
)

// number is a value of a number: as Postgres reads it, and exact where it is whole.
type number struct {
	text  string
	whole bool // it is an int64
}

// parseNumber takes numbers, whole ones for doubles and fractions for integers, as
// Temporal does.
func parseNumber(l literal) (any, string) {
	switch l.form {
	case anInt, aFloat:
		if l.form == anInt {
			if n, err := strconv.ParseInt(l.text, 10, 64); err == nil {
				return number{strconv.FormatInt(n, 10), true}, ""
			}
		}
		f, err := strconv.ParseFloat(l.text, 64)
		if err != nil || math.IsInf(f, 0) {
			return nil, l.text + " is beyond the numbers that there are"
		}
		return number{strconv.FormatFloat(f, 'f', -1, 64), false}, ""
	case aText:
		return nil, "want a number without quotes, found a text"
	default:
		return nil, "want a number, found " + string(l.form)
	}
}
