package cli

import (
	"fmt"
	"time"

	"github.com/annals-io/annals/internal/wiring"
)

// How far clocks may differ. A minute is what the search for a commit id, which
// tells its time, allows for (see events.Request.CommitID).
const (
	skewWarned  = time.Second
	skewAllowed = time.Minute
)

// clock holds this machine's clock against another's. Ahead is what follows, beside
// the rest, where this machine's is ahead.
func (x *examination) clock(name, whose string, s wiring.Skew, ahead string) {
	value := fmt.Sprintf("as that of %s, to within %s", whose, s.Within.Round(10*time.Microsecond))
	grade := fine
	switch {
	case s.Certain() > skewAllowed:
		grade = problematic
	case s.Certain() > skewWarned:
		grade = doubtful
	}
	if grade == fine {
		x.note(name, value, "")
		return
	}
	value, what := fmt.Sprintf("this machine's is %s behind that of %s", s.Ahead.Round(10*time.Millisecond), whose), "times and lags are wrong"
	if s.Ahead < 0 {
		value = fmt.Sprintf("this machine's is %s ahead of that of %s", -s.Ahead.Round(10*time.Millisecond), whose)
		what += ahead
	}
	x.weigh(name, value, grade, what+": have both machines set their clocks (NTP)")
}
