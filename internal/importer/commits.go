package importer

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"

	"github.com/annals-io/annals/pkg/events"
)

// The bounds of a commit; see the package's doc. They are part of what makes a
// second import find the first: another bound makes other commit ids, and the
// comparison of the events alone then tells what is there.
const (
	commitEvents = 100
	commitBytes  = 1 << 20
)

// commit is a part of a history that is appended at once.
type commit struct {
	events []*events.Event
	bytes  int // as the log keeps them
}

func (c commit) first() events.EventID { return events.EventID(c.events[0].EventId) }
func (c commit) last() events.EventID  { return events.EventID(c.events[len(c.events)-1].EventId) }

// cutter says where commits end. It is told of all events of a history in order,
// from the first, those that are stored already too.
type cutter struct {
	before events.EventID // the last event; 0: there was none
	size   int            // of the events of this commit
}

// cuts reports whether a commit ends before the event.
func (c *cutter) cuts(e *events.Event) bool {
	n := int(events.StoredSize(e))
	cut := c.before != 0 && (c.size+n > commitBytes || c.before%commitEvents == 0)
	if cut {
		c.size = 0
	}
	c.before, c.size = events.EventID(e.EventId), c.size+n
	return cut
}

// split cuts events, which begin at the first one of a file.
func split(evs []*events.Event) []commit {
	var commits []commit
	var cut cutter
	begin, size := 0, 0
	for i, e := range evs {
		if cut.cuts(e) {
			commits = append(commits, commit{evs[begin:i:i], size})
			begin = i
		}
		size = cut.size
	}
	return append(commits, commit{evs[begin:], size})
}

// after leaves out what is not after the event.
func after(commits []commit, last events.EventID) []commit {
	for i, c := range commits {
		if c.last() <= last {
			continue
		}
		rest := append([]commit(nil), commits[i:]...)
		if skip := int(last - c.first() + 1); skip > 0 {
			rest[0].events = c.events[skip:]
		}
		return rest
	}
	return nil
}

// id names the commit after what it holds and where.
func (c commit) id(w events.Workflow, run events.RunID) (events.CommitID, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(&historypb.History{Events: c.events})
	if err != nil {
		return "", refuse("event %d to %d: %v", c.first(), c.last(), err)
	}
	h := sha256.New()
	var n [binary.MaxVarintLen64]byte
	write := func(b []byte) {
		h.Write(n[:binary.PutUvarint(n[:], uint64(len(b)))])
		h.Write(b)
	}
	write([]byte(w.Namespace))
	write([]byte(w.ID))
	write([]byte(run))
	h.Write(n[:binary.PutUvarint(n[:], uint64(c.first()))])
	h.Write(n[:binary.PutUvarint(n[:], uint64(c.last()))])
	write(body)
	return events.CommitID("import-" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])), nil
}

// checkLimits refuses what the log would refuse after a part of it is stored.
func checkLimits(h *history) error {
	limits := events.Limits{}.WithDefaults()
	size := int64(0)
	for _, c := range split(h.events) {
		size += int64(c.bytes)
		switch {
		case c.bytes > limits.CommitBytes:
			return refuse("event %d has %d bytes, a commit has at most %d: keep large payloads elsewhere", c.first(), c.bytes, limits.CommitBytes)
		case events.Closes(c.events[len(c.events)-1]):
			return nil // what closes a run is always taken
		case int64(c.last()) > limits.MaxEvents:
			return refuse("it has more than %d events: a run continues as new before", limits.MaxEvents)
		case size > limits.MaxBytes:
			return refuse("its events have more than %d bytes: a run continues as new before", limits.MaxBytes)
		}
	}
	return nil
}
