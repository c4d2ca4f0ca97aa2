package events

import "strings"

// ValidTraceparent reports whether s is a trace context as W3C's
// "Trace Context" writes it: version, trace id, parent id and flags in
// lower-case hexadecimal, the ids not all zero.
func ValidTraceparent(s string) bool {
	if len(s) != 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	for i := range len(s) {
		if i != 2 && i != 35 && i != 52 && !strings.Contains("0123456789abcdef", s[i:i+1]) {
			return false
		}
	}
	return s[:2] != "ff" && strings.Trim(s[3:35], "0") != "" && strings.Trim(s[36:52], "0") != ""
}
