package replay

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/execution"
)

// errUnfit: a snapshot cannot be used.
var errUnfit = errors.New("the snapshot does not fit")

// folding is a state being folded, with the latest time of its events.
type folding struct {
	state  *execution.State
	latest time.Time
}

func (f *folding) apply(e *events.Event) {
	f.state.Apply(e)
	f.state.AddBytes(events.StoredSize(e))
	if t := e.GetEventTime(); t != nil && t.AsTime().After(f.latest) {
		f.latest = t.AsTime()
	}
}

// taken is a snapshot: the state of a run at the end of its workflow as it was then.
type taken struct {
	state  *execution.State
	latest time.Time // of its events' times; zero if none has one
	at     events.Cursor
}

// takenFormat begins a snapshot.
const takenFormat = "annals snapshot 1\n"

// encodeTaken writes the format, the version of the fold, the latest time, the cursor, the
// state, and SHA-256 of all that.
func encodeTaken(t taken) ([]byte, error) {
	at, err := t.at.MarshalText()
	if err != nil {
		return nil, err
	}
	latest, err := t.latest.MarshalBinary()
	if err != nil {
		return nil, err
	}
	b := binary.AppendUvarint([]byte(takenFormat), execution.FoldVersion)
	b = append(binary.AppendUvarint(b, uint64(len(latest))), latest...)
	b = append(binary.AppendUvarint(b, uint64(len(at))), at...)
	if b, err = t.state.AppendBinary(b); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// decodeTaken reads what encodeTaken wrote, in this version of the fold, and refuses
// anything else.
func decodeTaken(b []byte) (*taken, error) {
	unfit := func(format string, args ...any) (*taken, error) {
		return nil, fmt.Errorf("%w: "+format, append([]any{errUnfit}, args...)...)
	}
	if len(b) < len(takenFormat)+sha256.Size || string(b[:len(takenFormat)]) != takenFormat {
		return unfit("it is none, or of another format")
	}
	body := b[:len(b)-sha256.Size]
	if sum := sha256.Sum256(body); string(sum[:]) != string(b[len(body):]) {
		return unfit("it is damaged")
	}
	rest := body[len(takenFormat):]
	part := func(n uint64) (p []byte) {
		if n > uint64(len(rest)) {
			n = uint64(len(rest)) // what is decoded of it fails
		}
		p, rest = rest[:n], rest[n:]
		return p
	}
	number := func() uint64 {
		v, n := binary.Uvarint(rest)
		rest = rest[max(n, 0):]
		return v
	}
	if v := number(); v != execution.FoldVersion {
		return unfit("it is of version %d of the fold, this is %d", v, execution.FoldVersion)
	}
	t := taken{state: new(execution.State)}
	if err := t.latest.UnmarshalBinary(part(number())); err != nil {
		return unfit("its time: %w", err)
	}
	if err := t.at.UnmarshalText(part(number())); err != nil {
		return unfit("its cursor: %w", err)
	}
	if err := t.state.UnmarshalBinary(rest); err != nil {
		return unfit("its state: %w", err)
	}
	return &t, nil
}
