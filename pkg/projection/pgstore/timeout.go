package pgstore

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// Timeout is a duration to the microsecond; 0: none. In JSON it is seconds, as
// in "1.5s".
type Timeout time.Duration

// String is the seconds, as in "1.5s".
func (t Timeout) String() string {
	s := strconv.FormatInt(int64(t)/int64(time.Second), 10)
	if micros := int64(t) % int64(time.Second) / int64(time.Microsecond); micros != 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%06d", micros), "0")
	}
	return s + "s"
}

// MarshalText is String.
func (t Timeout) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// ScanInterval is pgtype.IntervalScanner's. Days have 24 hours; the projector
// writes no months.
func (t *Timeout) ScanInterval(i pgtype.Interval) error {
	if i.Months != 0 {
		return fmt.Errorf("an interval of %d months has no fixed length", i.Months)
	}
	*t = Timeout(time.Duration(i.Days)*24*time.Hour + time.Duration(i.Microseconds)*time.Microsecond)
	return nil
}
