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

// clock holds this machine's clock against another's.
func (x *examination) clock(name, whose string, s wiring.Skew) {
	value := fmt.Sprintf("as %s's, to within %s", whose, s.Within.Round(10*time.Microsecond))
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
	off := s.Ahead.Abs().Round(10 * time.Millisecond)
	if s.Ahead < 0 {
		x.weigh(name, fmt.Sprintf("this machine's is %s ahead of %s's", off, whose), grade,
			"an append that is sent again with its commit id alone may not be found where that is over a minute, and times and lags are wrong: have both machines set their clocks (NTP)")
		return
	}
	x.weigh(name, fmt.Sprintf("this machine's is %s behind %s's", off, whose), grade,
		"times and lags are wrong: have both machines set their clocks (NTP)")
}
