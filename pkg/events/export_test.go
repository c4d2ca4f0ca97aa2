package events

// What tests outside the package need of its inside.
var (
	EscapeToken   = tokenAlphabet.escape
	UnescapeToken = tokenAlphabet.unescape
	EscapeValue   = valueAlphabet.escape
	UnescapeValue = valueAlphabet.unescape
)
