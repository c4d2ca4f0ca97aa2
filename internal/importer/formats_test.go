package importer_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/annals-io/annals/internal/importer"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/eventjson"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// formats are the forms in which a file may hold a history.
var formats = map[string]func(t *testing.T, evs []*events.Event) []byte{
	"one.json": func(t *testing.T, evs []*events.Event) []byte {
		return must(eventjson.Encode(evs))(t)
	},
	"answer.json": func(t *testing.T, evs []*events.Event) []byte {
		return slices.Concat([]byte(`{"history": `), must(eventjson.Encode(evs))(t), []byte(`}`))
	},
	"array.json": func(t *testing.T, evs []*events.Event) []byte {
		lines := make([]json.RawMessage, len(evs))
		for i, e := range evs {
			lines[i] = must(eventjson.EncodeEvent(e))(t)
		}
		return must(json.Marshal(lines))(t)
	},
	"lines.ndjson": func(t *testing.T, evs []*events.Event) []byte {
		var b bytes.Buffer
		for _, e := range evs {
			b.Write(append(must(eventjson.EncodeEvent(e))(t), '\n'))
		}
		return b.Bytes()
	},
	"binary.pb": func(t *testing.T, evs []*events.Event) []byte {
		return must(proto.Marshal(&historypb.History{Events: evs}))(t)
	},
	"binary without a name": func(t *testing.T, evs []*events.Event) []byte {
		return must(proto.Marshal(&historypb.History{Events: evs}))(t)
	},
}

func must(b []byte, err error) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// Every real history is the same history in every form, there and back.
func TestEveryFormOfRealHistories(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("ANNALS_HISTORIES")
	if dir == "" {
		dir = "../../examples/histories"
	}
	files, err := importer.Find([]string{filepath.Join(dir, "*.json")})
	if err != nil || len(files) < 5 {
		t.Fatalf("%d histories: %v", len(files), err)
	}
	c := importer.Config{Namespace: "default"}
	there, read := t.TempDir(), 0
	for _, path := range files {
		file, err := c.Read(path)
		if err != nil {
			continue // damaged on purpose
		}
		read++
		for name, write := range formats {
			at := filepath.Join(there, name)
			if err := os.WriteFile(at, write(t, file.Events), 0o600); err != nil {
				t.Fatal(err)
			}
			back, err := c.Read(at)
			if err != nil {
				t.Errorf("%s as %s: %v", path, name, err)
				continue
			}
			if back.Run != file.Run || len(back.Dropped) > 0 || !equal(file.Events, back.Events) {
				t.Errorf("%s as %s (-file +back):\n%s", path, name, cmp.Diff(file.Events, back.Events, protocmp.Transform()))
			}
		}
	}
	if read < len(files)*3/4 {
		t.Errorf("only %d of %d histories could be read", read, len(files))
	}
}

func equal(a, b []*events.Event) bool {
	return slices.EqualFunc(a, b, func(x, y *events.Event) bool { return proto.Equal(x, y) })
}

func TestFindAndRefuse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	evs := open("w", "r", noon, 3)
	whole := formats["binary.pb"](t, evs)
	write("a.binpb", whole)
	write("b.PB", whole)
	write("c.json", formats["one.json"](t, evs))
	write("d.txt", nil)
	write("[e].json", formats["one.json"](t, evs))
	for _, tt := range []struct {
		path string
		want []string
	}{
		{"", []string{"[e].json", "a.binpb", "b.PB", "c.json"}},
		{"*.json", []string{"[e].json", "c.json"}},
		{"[a-b].*", []string{"a.binpb", "b.PB"}},
		{"[e].json", []string{"[e].json"}}, // a file of that name goes before what it matches
		{"d.txt", []string{"d.txt"}},
	} {
		found, err := importer.Find([]string{filepath.Join(dir, tt.path)})
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
		}
		for i := range found {
			found[i] = filepath.Base(found[i])
		}
		if diff := cmp.Diff(tt.want, found); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.path, diff)
		}
	}
	if _, err := importer.Find([]string{filepath.Join(dir, "*.none")}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a pattern of nothing: %v", err)
	}
	write("cut.pb", whole[:len(whole)-1])
	write("json.pb", formats["one.json"](t, evs))
	write("other.pb", append(slices.Clone(whole), 0x12, 1, 'x'))
	c := importer.Config{Namespace: "default"}
	for name, says := range map[string]string{
		"cut.pb": "not a History in protobuf", "json.pb": "not a History in protobuf", "other.pb": "fields that a History has not", "d.txt": "there is nothing",
	} {
		if _, err := c.Read(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", name, err, says)
		}
	}
}

// A history of 50 MiB, the largest that a log takes, is read from a file in any
// form, and written, without several times as much memory, under the collector's usual pace.
func TestMemoryForALargeHistory(t *testing.T) {
	const size, limit = 50 << 20, 400 << 20
	evs := []*events.Event{started("large", "r")}
	for n := int64(0); n < size-(1<<20); {
		e := events.Signaled("s", strings.Repeat("x", 10<<10))
		n += events.StoredSize(e)
		evs = append(evs, e)
	}
	history(noon, evs...)
	dir := t.TempDir()
	forms := []string{"one.json", "binary.pb"}
	for _, name := range forms {
		if err := os.WriteFile(filepath.Join(dir, name), formats[name](t, evs), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	count := len(evs)
	evs = nil
	c := importer.Config{Namespace: "default"}
	for _, name := range forms {
		peak := peakHeap(func() {
			file, err := c.Read(filepath.Join(dir, name))
			if err != nil || len(file.Events) != count {
				t.Errorf("%s: %d events, %v", name, len(file.Events), err)
			}
		})
		t.Logf("%s: %d MiB", name, peak>>20)
		if peak > limit {
			t.Errorf("%s takes %d MiB, more than %d", name, peak>>20, limit>>20)
		}
	}
	// Written is it event by event: what is read meanwhile stays where it is.
	log, err := memlog.New(memlog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := importer.Run(t.Context(), log, []string{filepath.Join(dir, "binary.pb")}, c); err != nil || s.Imported != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	written := 0
	peak := peakHeap(func() {
		err := eventjson.EncodeTo(counting(func(n int) { written += n }), log.Read(t.Context(), events.Workflow{Namespace: "default", ID: "large"}, events.ReadOptions{}))
		if err != nil {
			t.Error(err)
		}
	})
	t.Logf("written: %d MiB of JSON, %d MiB beside %d MiB of the log", written>>20, (peak-before.HeapAlloc)>>20, before.HeapAlloc>>20)
	if written < size/2 || peak > before.HeapAlloc+limit {
		t.Errorf("%d bytes are written, with a peak of %d MiB", written, peak>>20)
	}
}

type counting func(n int)

func (c counting) Write(p []byte) (int, error) {
	c(len(p))
	return len(p), nil
}

// peakHeap is how much the objects on the heap take at most while do runs, what
// is garbage and not swept yet included.
func peakHeap(do func()) uint64 {
	const objects = "/memory/classes/heap/objects:bytes"
	heap := func() uint64 {
		sample := []metrics.Sample{{Name: objects}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	runtime.GC()
	peak := heap()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				peak = max(peak, heap())
			case <-stop:
				return
			}
		}
	}()
	do()
	close(stop)
	<-stopped
	return max(peak, heap())
}
