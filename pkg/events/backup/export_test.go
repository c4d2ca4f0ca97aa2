package backup

import "github.com/annals-io/annals/pkg/events"

// WithSegments has segments of about so many bytes, and files below merge go on
// in a copy.
func (o Options) WithSegments(size, merge int64) Options {
	o.segmentBytes, o.mergeSize = size, merge
	return o
}

// WithStep has step called before every change of the file system; its error
// ends the run there.
func (o Options) WithStep(step func(what, path string) error) Options {
	o.step = step
	return o
}

func AppendRecord(b []byte, m events.Message) ([]byte, error) { return appendRecord(b, m) }

func DecodeRecord(b []byte) (events.Message, error) { return decodeRecord(0, b) }
