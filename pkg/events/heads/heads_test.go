package heads_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/heads"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/events/natslog"
)

var logs = []struct {
	name  string
	steps int
	open  func(*testing.T) events.Log
}{
	{"memory", 200, func(t *testing.T) events.Log { return newLog(t, 3) }},
	{"R1", 60, func(t *testing.T) events.Log { return natsLog(t, testenv.NATS(t), 1) }},
	{"R3", 30, func(t *testing.T) events.Log { return natsLog(t, testenv.NATSCluster(t), 3) }},
}

func natsLog(t *testing.T, nc *nats.Conn, replicas int) events.Log {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := natslog.Create(ctx, js, natslog.CreateOptions{Streams: 2, Replicas: replicas}); err != nil {
		t.Fatal(err)
	}
	log, err := natslog.Open(ctx, js, natslog.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func newLog(t *testing.T, streams int) *memlog.Log {
	t.Helper()
	log, err := memlog.New(memlog.Config{Streams: streams})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// fill appends random histories, and a message that is no commit.
func fill(t *testing.T, log events.Log, seed uint64, steps int) []events.Workflow {
	t.Helper()
	g := historytest.New(historytest.Options{Workflows: 7})
	if err := g.AppendAll(t.Context(), log, historytest.Seeded(seed, steps)); err != nil {
		t.Fatal(err)
	}
	return g.Workflows()
}

func write(t *testing.T, log events.Source, o heads.Options) []byte {
	t.Helper()
	var b bytes.Buffer
	s, err := heads.Write(t.Context(), log, &b, o)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(b.Bytes()); s.Digest != hex.EncodeToString(sum[:]) {
		t.Errorf("the summary says digest %s of a file whose SHA-256 is %x", s.Digest, sum)
	}
	return b.Bytes()
}

func open(t *testing.T, name string, b []byte) *heads.File {
	t.Helper()
	f, err := heads.Open(name, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func check(t *testing.T, log events.Source, one *events.Workflow, files ...*heads.File) heads.Report {
	t.Helper()
	c, err := heads.NewCheck(log.Identity(), one, files...)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context(), log, nil); err != nil {
		t.Fatal(err)
	}
	return c.Report()
}

// A log that nobody harmed agrees with its heads, when they were written and
// when it has grown, whatever the windows.
func TestHeadsOfASoundLog(t *testing.T) {
	t.Parallel()
	for _, tt := range logs {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log := tt.open(t)
			empty := open(t, "empty", write(t, log, heads.Options{Workflows: true}))
			workflows := fill(t, log, 1, tt.steps)
			var files []*heads.File
			for _, window := range []int{0, 1, 7, tt.steps} {
				for _, o := range []heads.Options{{Window: window}, {Window: window, Workflows: true}} {
					f := open(t, fmt.Sprint(o), write(t, log, o))
					if r := check(t, log, nil, f); len(r.Differences) != 0 || r.Messages != int64(tt.steps) || o.Workflows != (r.Workflows == int64(len(workflows))) {
						t.Errorf("%+v: %+v; the log has %d messages and %d workflows", o, r, tt.steps, len(workflows))
					}
					files = append(files, f)
				}
			}
			// It grows, and all that was written before still holds, together.
			again := historytest.New(historytest.Options{Workflows: 3, Tame: true})
			if err := again.AppendAll(t.Context(), renamed{log}, historytest.Seeded(9, 40)); err != nil {
				t.Fatal(err)
			}
			files = append(files, open(t, "later", write(t, log, heads.Options{Window: 5, Workflows: true})))
			if r := check(t, log, nil, append(files, empty)...); len(r.Differences) != 0 || r.Messages != int64(tt.steps+40) {
				t.Errorf("together: %+v", r)
			}
			for _, w := range workflows {
				if r := check(t, log, &w, files[len(files)-1]); len(r.Differences) != 0 || r.Workflows != 1 {
					t.Errorf("%s alone: %+v", w, r)
				}
			}
		})
	}
}

// renamed is a log on which the generator's workflows have other names.
type renamed struct{ events.Log }

func (r renamed) Append(ctx context.Context, q events.Request) (events.Result, error) {
	q.Workflow.ID += "-again"
	return r.Log.Append(ctx, q)
}

// The form of the file is what docs/heads.md says: plain code without this
// package comes to the same digests.
func TestHeadsAreWhatTheDocumentSays(t *testing.T) {
	t.Parallel()
	log := newLog(t, 1)
	fill(t, log, 3, 25)
	log.Put(0, "annals.000.default.foreign", events.Header{"X": {"y"}, "A-Z": {"1", "2"}}, []byte("hello"))
	file := write(t, log, heads.Options{Window: 10, Workflows: true})

	var lines []string
	for m, err := range log.Follow(t.Context(), 0, events.FollowOptions{Until: 26}) {
		if err != nil {
			t.Fatal(err)
		}
		var content []string
		for name, values := range m.Header {
			if name != "Annals" && !strings.HasPrefix(name, "A-") {
				continue
			}
			for i, v := range values {
				content = append(content, fmt.Sprintf("%s\x00%d\x00%s: %s\n", name, i, name, v))
			}
		}
		slices.Sort(content)
		text := ""
		for _, c := range content {
			text += c[strings.LastIndex(c, "\x00")+1:]
		}
		sum := sha256.Sum256(append([]byte(text+"\n"), m.Body...))
		lines = append(lines, fmt.Sprintf("%d %s %x\n", m.Position.Sequence, m.Subject, sum))
	}
	digest := func(from, to int) string { // sequences, both inclusive
		sum := sha256.Sum256([]byte(strings.Join(lines[from-1:to], "")))
		return hex.EncodeToString(sum[:])
	}

	type record struct {
		Type, Digest, Subject, Hash, LogID, Namespace, Workflow string
		First, Last, Messages, Sequence                         uint64
		Lines                                                   int
	}
	var got []record
	workflows := 0
	for line := range bytes.Lines(file) {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		switch r.Type {
		case "workflow":
			tail, err := log.Tail(t.Context(), events.Workflow{Namespace: r.Namespace, ID: r.Workflow})
			if r.Workflow == "foreign" { // it has no commit
				if r.Sequence != 26 || r.Hash != "" || !errors.Is(err, events.ErrCorrupt) {
					t.Errorf("workflow %+v: %v", r, err)
				}
			} else if err != nil || tail.Hash().String() != r.Hash || tail.Position().Sequence != r.Sequence {
				t.Errorf("workflow %s is said to end at %d with %s, it ends at %s with %s", r.Workflow, r.Sequence, r.Hash, tail.Position(), tail.Hash())
			}
			workflows++
		default:
			r.Lines = 0
			got = append(got, r)
		}
	}
	before := file[:bytes.LastIndexByte(file[:len(file)-1], '\n')+1]
	sum := sha256.Sum256(before)
	last, err := log.Message(t.Context(), events.Position{Sequence: 26})
	if err != nil {
		t.Fatal(err)
	}
	want := []record{
		{Type: "heads", LogID: log.Identity().LogID},
		{Type: "mark", First: 1, Last: 10, Messages: 10, Digest: digest(1, 10)},
		{Type: "mark", First: 11, Last: 20, Messages: 10, Digest: digest(11, 20)},
		{Type: "mark", First: 21, Last: 26, Messages: 6, Digest: digest(21, 26)},
		{Type: "head", Last: 26, Messages: 26, Digest: digest(1, 26), Subject: last.Subject},
		{Type: "end", Digest: hex.EncodeToString(sum[:])},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if workflows < 3 {
		t.Errorf("%d workflows: they prove little", workflows)
	}
}

// Whatever is changed in whichever message, the window that holds it is found,
// and no other.
func TestHeadsFindEveryAlteredMessage(t *testing.T) {
	t.Parallel()
	const steps, window = 60, 4
	log := newLog(t, 1)
	fill(t, log, 5, steps)
	f := open(t, "heads", write(t, log, heads.Options{Window: window}))
	changed := 0
	for seq := uint64(1); seq <= steps; seq++ {
		at := events.Position{Sequence: seq}
		was, err := log.Message(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		changes := map[string]func(*events.Message){
			"body":    func(m *events.Message) { m.Body[len(m.Body)-1] ^= 1 },
			"subject": func(m *events.Message) { m.Subject += "x" },
			"added":   func(m *events.Message) { m.Header["A-New"] = []string{"x"} },
		}
		for name := range was.Header {
			if name == "Annals" || strings.HasPrefix(name, "A-") {
				changes[name] = func(m *events.Message) { m.Header[name] = []string{m.Header[name][0] + "x"} }
				changes["without "+name] = func(m *events.Message) { delete(m.Header, name) }
				changes["twice "+name] = func(m *events.Message) { m.Header[name] = append(slices.Clone(m.Header[name]), "") }
			}
		}
		for what, change := range changes {
			log.Alter(at, change)
			first := (seq-1)/window*window + 1
			r := check(t, log, nil, f)
			if len(r.Differences) != 1 || r.Differences[0].Kind != heads.KindOther || r.Differences[0].Position.Sequence != first {
				t.Errorf("%s of message %d changed: found %+v, want one difference at %d", what, seq, r.Differences, first)
			}
			log.Alter(at, func(m *events.Message) { *m = was })
			changed++
		}
	}
	if r := check(t, log, nil, f); len(r.Differences) != 0 {
		t.Errorf("the test did not mend what it harmed: %+v", r.Differences)
	}
	t.Logf("%d changes, each found", changed)
}

// without is a log in which messages are missing.
type without struct {
	*memlog.Log
	gone func(events.Position) bool
}

func (w without) Follow(ctx context.Context, p events.Partition, o events.FollowOptions) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		for m, err := range w.Log.Follow(ctx, p, o) {
			if err == nil && w.gone(m.Position) {
				continue
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

func (w without) Message(ctx context.Context, p events.Position) (events.Message, error) {
	if w.gone(p) {
		return events.Message{}, events.ErrNotFound
	}
	return w.Log.Message(ctx, p)
}

// Messages that are gone are found at whichever place, a whole window, the end
// and all of them too, and in their partition only.
func TestHeadsFindMissingMessages(t *testing.T) {
	t.Parallel()
	log := newLog(t, 2)
	fill(t, log, 6, 160)
	b, err := log.Bounds(t.Context(), 1)
	if err != nil || b.Last < 20 {
		t.Fatalf("partition 1 ends at %d, %v", b.Last, err)
	}
	end := b.Last
	f := open(t, "heads", write(t, log, heads.Options{Window: 5}))
	kinds := func(ds ...string) []string { return ds }
	for _, tt := range []struct {
		name     string
		from, to uint64 // gone, both inclusive
		want     []string
	}{
		{"the first", 1, 1, kinds("differs from the head at 1:1: sequences 1 to 5 hold 4 messages where there were 5")},
		{"one", 8, 8, kinds("differs from the head at 1:6: sequences 6 to 10 hold 4 messages where there were 5")},
		{"the last of a window", 10, 10, kinds("differs from the head at 1:6: sequences 6 to 10 hold 4 messages where there were 5")},
		{"a window", 6, 10, kinds("differs from the head at 1:6: sequences 6 to 10 hold none of the 5 messages that were there")},
		{"over two windows", 9, 12, kinds("differs from the head at 1:6: sequences 6 to 15 hold 6 messages where there were 10")},
		{"the end", 13, end, kinds(fmt.Sprintf("ends before the head at 1:13: partition 1 ends at 12, its head is at %d: it was cut short, or its streams were put back to an older state; whether sequences 11 to 12 are as they were cannot be told", end))},
		{"the end, at the end of a window", 11, end, kinds(fmt.Sprintf("ends before the head at 1:11: partition 1 ends at 10, its head is at %d: it was cut short, or its streams were put back to an older state", end))},
		{"all", 1, end, kinds(fmt.Sprintf("ends before the head at 1:1: partition 1 ends at 0, its head is at %d: it was cut short, or its streams were put back to an older state", end))},
	} {
		spoiled := without{log, func(p events.Position) bool { return p.Partition == 1 && tt.from <= p.Sequence && p.Sequence <= tt.to }}
		var got []string
		for _, d := range check(t, spoiled, nil, f).Differences {
			got = append(got, fmt.Sprintf("%s at %s: %s", d.Kind, d.Position, d.Detail))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +found):\n%s", tt.name, diff)
		}
		// Heads of what is left hold for what is left.
		if r := check(t, spoiled, nil, open(t, "left", write(t, spoiled, heads.Options{Window: 5, Workflows: true}))); len(r.Differences) != 0 {
			t.Errorf("%s: heads of what is left: %+v", tt.name, r.Differences)
		}
	}
}

// resign writes a file anew with changed lines, without those that have no type
// any more, and with an end that vouches for them.
func resign(t *testing.T, file []byte, change func(line map[string]any)) []byte {
	t.Helper()
	var out bytes.Buffer
	lines := 0
	for line := range bytes.Lines(file) {
		v := map[string]any{}
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		if v["type"] == "end" {
			break
		}
		change(v)
		if v["type"] == nil { // struck out
			continue
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(b, '\n'))
		lines++
	}
	fmt.Fprintf(&out, "{\"type\":\"end\",\"lines\":%d,\"digest\":\"%x\"}\n", lines, sha256.Sum256(out.Bytes()))
	return out.Bytes()
}

// in sets a field in lines of a type.
func in(kind, field string, value any) func(map[string]any) {
	return func(line map[string]any) {
		if line["type"] == kind {
			line[field] = value
		}
	}
}

// What cannot be compared is an error; what can, over a restore, is compared.
func TestHeadsOfAnotherTime(t *testing.T) {
	t.Parallel()
	log := newLog(t, 2)
	fill(t, log, 7, 30)
	file := write(t, log, heads.Options{Workflows: true})
	for field, value := range map[string]any{"logId": "another", "format": 2, "mapVersion": 2} {
		f := open(t, field, resign(t, file, in("heads", field, value)))
		if _, err := heads.NewCheck(log.Identity(), nil, f); !errors.Is(err, events.ErrWrongLog) {
			t.Errorf("heads of another %s: %v, want ErrWrongLog", field, err)
		}
	}
	wider := newLog(t, 3)
	f := open(t, "wider", resign(t, write(t, wider, heads.Options{}), in("heads", "logId", log.Identity().LogID)))
	if _, err := heads.NewCheck(log.Identity(), nil, f); !errors.Is(err, events.ErrWrongLog) {
		t.Errorf("heads of more partitions: %v, want ErrWrongLog", err)
	}
	if _, err := heads.NewCheck(log.Identity(), &events.Workflow{Namespace: "default", ID: "w"}, open(t, "f", write(t, log, heads.Options{}))); !errors.Is(err, heads.ErrNoWorkflows) {
		t.Errorf("one workflow of a file without workflows: %v, want ErrNoWorkflows", err)
	}
	// The log was restored since the heads were written: times are others.
	f = open(t, "restored", resign(t, resign(t, file, in("heads", "epoch", 0)), in("head", "time", "2020-01-01T00:00:00Z")))
	if r := check(t, log, nil, f); len(r.Differences) != 0 || r.Messages != 30 {
		t.Errorf("a log that was restored: %+v", r)
	}
	// The heads were written after a restore that the log does not know of.
	f = open(t, "older", resign(t, file, in("heads", "epoch", 2)))
	if ds := check(t, log, nil, f).Differences; len(ds) != 1 || ds[0].Kind != heads.KindOlder {
		t.Errorf("a log of an earlier epoch: %+v", ds)
	}
	// The stream was made anew.
	f = open(t, "anew", resign(t, file, in("head", "time", "2020-01-01T00:00:00Z")))
	if ds := check(t, log, nil, f).Differences; len(ds) != 2 || ds[0].Kind != heads.KindOther || !strings.Contains(ds[0].Detail, "the stream was made anew") {
		t.Errorf("another time: %+v", ds)
	}
	// A file that contradicts itself proves something about the file.
	f = open(t, "contradicts", resign(t, file, in("head", "digest", strings.Repeat("0", 64))))
	if ds := check(t, log, nil, f).Differences; len(ds) != 2 || !strings.Contains(ds[0].Detail, "the file contradicts itself") {
		t.Errorf("another digest: %+v", ds)
	}
}

// A workflow that the log has before the head, and the file does not, was put
// there; asked about it alone too, and not asked about another.
func TestHeadsFindAWorkflowThatWasNotThere(t *testing.T) {
	t.Parallel()
	log := newLog(t, 2)
	workflows := fill(t, log, 7, 30)
	ghost := workflows[2]
	f := open(t, "f", resign(t, write(t, log, heads.Options{Workflows: true}), func(line map[string]any) {
		if line["workflow"] == ghost.ID && line["namespace"] == ghost.Namespace {
			delete(line, "type")
		}
	}))
	tail, err := log.Tail(t.Context(), ghost)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []*events.Workflow{nil, &ghost} {
		ds := check(t, log, one, f).Differences
		if len(ds) != 1 || ds[0].Workflow != ghost || ds[0].Kind != heads.KindOther || ds[0].Position != tail.Position() || !strings.Contains(ds[0].Detail, "does not know it") {
			t.Errorf("found %+v, want %s at %s", ds, ghost, tail.Position())
		}
	}
	if ds := check(t, log, &workflows[0], f).Differences; len(ds) != 0 {
		t.Errorf("asked about another: %+v", ds)
	}
}

// Differences beyond those that a report lists are counted.
func TestHeadsListAThousandDifferences(t *testing.T) {
	t.Parallel()
	log := newLog(t, 2)
	for i := range 1300 {
		w := events.Workflow{Namespace: "default", ID: fmt.Sprint("w", i)}
		log.Put(log.Identity().Map.Partition(w.Slot()), w.Subject(), nil, nil)
	}
	f := open(t, "f", resign(t, write(t, log, heads.Options{Workflows: true}), in("workflow", "hash", "another")))
	if r := check(t, log, nil, f); len(r.Differences) != 1000 || r.Unlisted != 300 || r.Workflows != 1300 {
		t.Errorf("%d listed, %d not, of %d", len(r.Differences), r.Unlisted, r.Workflows)
	}
}

// A file that was cut, changed in any byte or put together otherwise is not read.
func TestOpenRefusesWhatWasDamaged(t *testing.T) {
	t.Parallel()
	log := newLog(t, 2)
	fill(t, log, 8, 20)
	file := write(t, log, heads.Options{Window: 6, Workflows: true})
	refused := func(what string, b []byte) {
		t.Helper()
		if _, err := heads.Open("f", bytes.NewReader(b), int64(len(b))); !errors.Is(err, heads.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", what, err)
		}
	}
	for i := range file {
		refused(fmt.Sprint("cut at ", i), file[:i])
		for _, bit := range []byte{1, 0x20, 0x80} {
			b := bytes.Clone(file)
			b[i] ^= bit
			refused(fmt.Sprintf("bit %#x of byte %d, %q", bit, i, file[max(0, i-20):i+1]), b)
		}
	}
	refused("a line more", append(bytes.Clone(file), file[:bytes.IndexByte(file, '\n')+1]...))
	refused("nothing", nil)
	refused("a long line", append(bytes.Repeat([]byte(" "), 1<<17), '\n'))
	for what, change := range map[string]func(map[string]any){
		"a mark of another partition":   in("mark", "partition", 1),
		"a mark that does not follow":   in("mark", "first", 3),
		"a head of another partition":   in("head", "partition", 1),
		"a head before its marks":       in("head", "last", 1),
		"a workflow of another":         in("workflow", "partition", 0),
		"a workflow behind the head":    in("workflow", "sequence", 1000),
		"workflows that are not said":   in("heads", "workflows", false),
		"more partitions":               in("heads", "partitions", 3),
		"no log":                        in("heads", "logId", ""),
		"another version":               in("heads", "version", 2),
		"a field that is not known":     in("head", "colour", "red"),
		"a line of a type not known":    in("mark", "type", "stain"),
		"a header in the middle":        in("mark", "type", "heads"),
		"a first line that is no heads": in("heads", "type", "mark"),
	} {
		refused(what, resign(t, file, change))
	}
}

func FuzzOpen(f *testing.F) {
	log, err := memlog.New(memlog.Config{Streams: 1})
	if err != nil {
		f.Fatal(err)
	}
	w := events.Workflow{Namespace: "default", ID: "w"}
	if _, err := log.Append(f.Context(), events.Request{Workflow: w, Events: []*events.Event{events.WorkflowStarted("T", "q")}}); err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := heads.Write(f.Context(), log, &b, heads.Options{Workflows: true}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := heads.Open("f", bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for p := range file.Heads() {
			for _, err := range file.Workflows(events.Partition(p)) {
				if err != nil {
					t.Errorf("opened, but then: %v", err)
				}
			}
		}
	})
}
