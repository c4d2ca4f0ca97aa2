package replay

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/annals-io/annals/pkg/execution"
)

// DecodeSnapshot gives the state that a snapshot holds.
func DecodeSnapshot(b []byte) (*execution.State, error) {
	t, err := decodeTaken(b)
	if err != nil {
		return nil, err
	}
	return t.state, nil
}

// SnapshotOfFold is a whole snapshot as another version of the fold would have made it.
func SnapshotOfFold(b []byte, version uint64) []byte {
	_, n := binary.Uvarint(b[len(takenFormat):])
	out := binary.AppendUvarint([]byte(takenFormat), version)
	out = append(out, b[len(takenFormat)+n:len(b)-sha256.Size]...)
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}
