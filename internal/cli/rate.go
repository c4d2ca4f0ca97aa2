package cli

import (
	"fmt"
	"strconv"
	"time"
)

// rate is n things in a time as events a second.
func rate(n int64, d time.Duration) string { return rateOf(n, "event", d) }

// rateOf is n units in a time as units a second.
func rateOf(n int64, unit string, d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	return grouped(int64(float64(n)/d.Seconds())) + " " + unit + "s/s"
}

// grouped writes a number with commas.
func grouped(n int64) string {
	if n < 0 {
		return "-" + grouped(-n)
	}
	if n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	return grouped(n/1000) + fmt.Sprintf(",%03d", n%1000)
}

// plural is "1 file", "2 files".
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}
