package filter

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const durationWanted = "want a duration: whole nanoseconds, or in quotes as Go writes it and with days ('1d12h', '90s'), or 'hh:mm:ss'"

// parseDuration takes whole nanoseconds, with quotes or without, a duration as Go
// writes it, in which d is 24 hours, and hh:mm:ss. It gives nanoseconds.
func parseDuration(l literal) (any, string) {
	switch l.form {
	case anInt, aText:
		if n, err := strconv.ParseInt(l.text, 10, 64); err == nil {
			return number{strconv.FormatInt(n, 10), true}, ""
		}
		if l.form == anInt {
			return nil, l.text + " is beyond the nanoseconds that 64 bits hold"
		}
		d, ok := readDuration(l.text)
		if !ok {
			return nil, durationWanted + ", found " + quoted(l.text)
		}
		return number{strconv.FormatInt(int64(d), 10), true}, ""
	default:
		return nil, durationWanted + ", found " + string(l.form)
	}
}

var (
	daysIn = regexp.MustCompile(`[0-9]+(\.[0-9]*)?d|\.[0-9]+d`)
	clock  = regexp.MustCompile(`^([0-9]{1,7}):([0-9]{1,2}):([0-9]{1,2})$`)
)

func readDuration(s string) (time.Duration, bool) {
	if m := clock.FindStringSubmatch(s); m != nil {
		var parts [3]int64
		for i := range parts {
			parts[i], _ = strconv.ParseInt(m[i+1], 10, 64) // digits, and few
		}
		d, overflow := time.Duration(parts[0])*time.Hour, parts[0] > int64(maxDuration/time.Hour)-1
		return d + time.Duration(parts[1])*time.Minute + time.Duration(parts[2])*time.Second, !overflow && parts[1] < 60 && parts[2] < 60
	}
	s = daysIn.ReplaceAllStringFunc(s, func(days string) string {
		n, err := strconv.ParseFloat(strings.TrimSuffix(days, "d"), 64)
		if err != nil {
			return days // which is no duration
		}
		return fmt.Sprintf("%fh", 24*n)
	})
	d, err := time.ParseDuration(s)
	return d, err == nil
}

const maxDuration = time.Duration(1<<63 - 1)
