package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

// Format is the version of the folder's form that this package writes. It reads
// those before it, too.
const Format = 2

// formatWithoutControl has no control stream.
const formatWithoutControl = 1

// Heartbeats stands for the stream of heartbeats where a partition is asked for.
const Heartbeats events.Partition = -1

// Control stands for the control stream, in the same way.
const Control events.Partition = -2

const manifestName = "manifest.json"

// Manifest says what a backup holds. The file is
// {"manifest": …, "sha256": "<hex, of the bytes of the manifest as they stand there>"}.
type Manifest struct {
	Format     int             `json:"format"`
	Run        int             `json:"run"`   // from 1; every run that writes to the folder is the next
	Taken      time.Time       `json:"taken"` // when the last run took the ends of the streams
	LogID      string          `json:"logId"`
	Epoch      uint32          `json:"epoch"`
	LogFormat  int             `json:"logFormat"`
	MapVersion int             `json:"mapVersion"`
	Streams    []StreamContent `json:"streams"` // those of partition 0, 1, … in order
	Heartbeats StreamContent   `json:"heartbeats"`
	// Control has no name in a folder of format 1: such a log had none.
	Control StreamContent `json:"control"`
}

// StreamContent is what a backup holds of one stream.
type StreamContent struct {
	Name  string       `json:"name"`
	Slots *slotContent `json:"slots,omitempty"` // of a partition
	// First and Last are the sequences that the stream had, both inclusive; an
	// empty one has Last = First - 1. There may be gaps, at the end too.
	First    uint64 `json:"first"`
	Last     uint64 `json:"last"`
	Messages int64  `json:"messages"`
	// LastRecord is the SHA-256 of the last record, its length included, in
	// hex; empty without a message.
	LastRecord string `json:"lastRecord"`
	// Settings are the stream's configuration as its server gave it.
	Settings json.RawMessage  `json:"settings,omitempty"`
	Segments []SegmentContent `json:"segments"`
}

type slotContent struct {
	First int `json:"first"`
	End   int `json:"end"` // exclusive
}

// SegmentContent is what a segment's file holds: records, one after the other,
// compressed by zstd.
type SegmentContent struct {
	File     string `json:"file"`  // below the folder, with slashes
	First    uint64 `json:"first"` // sequences of its first and last message
	Last     uint64 `json:"last"`
	Messages int64  `json:"messages"`
	Bytes    int64  `json:"bytes"` // of its records
	Size     int64  `json:"size"`  // of the file
	SHA256   string `json:"sha256"`
}

// Identity is the log that the backup is of, with the epoch it had.
func (m *Manifest) Identity() events.Identity {
	id := events.Identity{LogID: m.LogID, Epoch: m.Epoch, Format: m.LogFormat, Map: events.SlotMap{Version: m.MapVersion}}
	for _, s := range m.Streams {
		id.Map.Ranges = append(id.Map.Ranges, events.SlotRange{First: events.Slot(s.Slots.First), End: events.Slot(s.Slots.End)})
	}
	return id
}

// Messages are those of the partitions, without heartbeats and decisions.
func (m *Manifest) Messages() (n int64) {
	for i := range m.Streams {
		n += m.Streams[i].Messages
	}
	return n
}

// Bytes is the size of all records, heartbeats and decisions included.
func (m *Manifest) Bytes() (n int64) {
	for s := range m.all() {
		for _, g := range s.Segments {
			n += g.Bytes
		}
	}
	return n
}

// Size is that of all segments' files.
func (m *Manifest) Size() (n int64) {
	for s := range m.all() {
		for _, g := range s.Segments {
			n += g.Size
		}
	}
	return n
}

// all yields every stream's content.
func (m *Manifest) all() func(func(*StreamContent) bool) {
	return func(yield func(*StreamContent) bool) {
		for i := range m.Streams {
			if !yield(&m.Streams[i]) {
				return
			}
		}
		if yield(&m.Heartbeats) {
			yield(&m.Control)
		}
	}
}

// content is that of a partition, of Heartbeats or of Control.
func (m *Manifest) content(p events.Partition) *StreamContent {
	switch p {
	case Heartbeats:
		return &m.Heartbeats
	case Control:
		return &m.Control
	}
	return &m.Streams[p]
}

// sealed is a manifest with its checksum.
type sealed struct {
	Manifest json.RawMessage `json:"manifest"`
	SHA256   string          `json:"sha256"`
}

func (m *Manifest) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	var out bytes.Buffer
	fmt.Fprintf(&out, "{\"manifest\": %s,\n\"sha256\": %q}\n", b, hex.EncodeToString(sum[:]))
	return out.Bytes(), nil
}

// readManifest reads a folder's manifest and gives its checksum too. It fails
// with ErrNone or *DamagedError.
func readManifest(dir string) (*Manifest, string, error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("%w in %s: it has no %s", ErrNone, dir, manifestName)
	}
	if err != nil {
		return nil, "", err
	}
	m, sum, err := decodeManifest(b)
	if err != nil {
		return nil, "", damaged(manifestName, "%v", err)
	}
	return m, sum, nil
}

func decodeManifest(b []byte) (*Manifest, string, error) {
	var s sealed
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(s.Manifest)
	if got := hex.EncodeToString(sum[:]); got != s.SHA256 {
		return nil, "", fmt.Errorf("its checksum is %s, and it says %q", got, s.SHA256)
	}
	var m Manifest
	if err := json.Unmarshal(s.Manifest, &m); err != nil {
		return nil, "", err
	}
	if m.Format < formatWithoutControl || m.Format > Format {
		return nil, "", fmt.Errorf("format %d is not known here, only %d to %d", m.Format, formatWithoutControl, Format)
	}
	return &m, s.SHA256, m.check()
}

// check refuses a manifest that contradicts itself.
func (m *Manifest) check() error {
	for i, s := range m.Streams {
		if s.Slots == nil || s.Slots.First < 0 || s.Slots.End > events.Slots {
			return fmt.Errorf("stream %d has no slots", i)
		}
	}
	if err := m.Identity().Map.Validate(); err != nil {
		return err
	}
	for s := range m.all() {
		var messages int64
		before := uint64(0)
		for _, g := range s.Segments {
			if !filepath.IsLocal(filepath.FromSlash(g.File)) || path.Clean(g.File) != g.File {
				return fmt.Errorf("segment %q is not within the folder", g.File)
			}
			if g.First <= before || g.First < s.First || g.Last < g.First || g.Last > s.Last || g.Messages < 1 || uint64(g.Messages) > g.Last-g.First+1 {
				return fmt.Errorf("segment %s has %d messages from %d to %d, which is not what follows %d", g.File, g.Messages, g.First, g.Last, before)
			}
			before = g.Last
			messages += g.Messages
		}
		if messages != s.Messages {
			return fmt.Errorf("stream %s has %d messages, its segments have %d", s.Name, s.Messages, messages)
		}
	}
	return nil
}
