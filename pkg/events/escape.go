package events

import (
	"fmt"
	"strconv"
	"strings"
)

// alphabet is the bytes that stand for themselves; the others are written %XX.
type alphabet [256]bool

var (
	// tokenAlphabet is what a subject token holds as it is. Escaped are what
	// NATS gives a meaning (. * >), the escape itself, white space, control
	// bytes and everything outside ASCII.
	tokenAlphabet = printableWithout(".*>%")
	// valueAlphabet is what a header value holds as it is: it has no dots to
	// mind, and spaces part its fields.
	valueAlphabet = printableWithout("%")
)

func printableWithout(special string) *alphabet {
	var a alphabet
	for c := byte('!'); c <= '~'; c++ {
		a[c] = strings.IndexByte(special, c) < 0
	}
	return &a
}

const hexDigits = "0123456789ABCDEF"

// escape writes s with each byte outside the alphabet as %XX.
func (a *alphabet) escape(s string) string {
	escapes := 0
	for i := range len(s) {
		if !a[s[i]] {
			escapes++
		}
	}
	if escapes == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*escapes)
	for i := range len(s) {
		if c := s[i]; a[c] {
			b = append(b, c)
		} else {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
}

// unescape is the inverse of escape. It refuses whatever escape would not have
// written, so that every text has one form only.
func (a *alphabet) unescape(t string) (string, error) {
	escapes := 0
	for i := 0; i < len(t); i++ {
		if a[t[i]] {
			continue
		}
		if t[i] != '%' {
			return "", fmt.Errorf("byte %#02x at %d is not escaped", t[i], i)
		}
		if i+2 >= len(t) {
			return "", fmt.Errorf("escape at %d is cut short", i)
		}
		digits := t[i+1 : i+3]
		v, err := strconv.ParseUint(digits, 16, 8)
		if err != nil || digits != strings.ToUpper(digits) {
			return "", fmt.Errorf("escape %q at %d is not two upper-case hexadecimal digits", t[i:i+3], i)
		}
		if a[byte(v)] {
			return "", fmt.Errorf("escape %q at %d stands for a byte that needs none", t[i:i+3], i)
		}
		escapes++
		i += 2
	}
	if escapes == 0 {
		return t, nil
	}
	b := make([]byte, 0, len(t)-2*escapes)
	for i := 0; i < len(t); i++ {
		c := t[i]
		if c == '%' {
			c = unhex(t[i+1])<<4 | unhex(t[i+2])
			i += 2
		}
		b = append(b, c)
	}
	return string(b), nil
}

// unhex is the value of an upper-case hexadecimal digit.
func unhex(c byte) byte { return byte(strings.IndexByte(hexDigits, c)) }
