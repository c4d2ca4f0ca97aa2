package subjectlog

import (
	"bufio"
	"crypto/rand"
	"sync"

	"github.com/google/uuid"
)

// random reads the system's random numbers by the hundred: asking for the 16
// bytes of one id takes longer than all else about it.
var random = sync.Pool{New: func() any { return bufio.NewReaderSize(rand.Reader, 1024) }}

// newUUID is a new UUIDv7.
func newUUID() string {
	r := random.Get().(*bufio.Reader)
	id := uuid.Must(uuid.NewV7FromReader(r))
	random.Put(r)
	return id.String()
}
