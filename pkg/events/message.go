package events

import "time"

// Header is the headers of a message: a name and its values.
type Header = map[string][]string

// Message is what a log stores, before anyone has judged it: Decode makes a
// Commit of it or says why it is none. It is read-only and may be shared.
type Message struct {
	Position Position
	Subject  string
	Time     time.Time // when the server stored it
	Header   Header
	Body     []byte
}
