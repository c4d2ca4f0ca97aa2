package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/embednats"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// found is a difference that must be found: its kind, whose it is (empty: not
// said), and a part of the place that is named.
type found struct{ kind, workflow, where string }

// tampering is what somebody with the disk does to a log, and what must be found
// of it by whom.
type tampering struct {
	name string
	why  string
	// disk changes the messages of the victim's partition while the server is
	// stopped; nil: nothing.
	disk func(*testing.T, []record) []record
	// online is done to the running server.
	online func(*testing.T, jetstream.JetStream)

	log      []found // by the log against itself: the chain, contiguous sequences
	tables   []found // by checkpoints and tables
	heads    []found // by heads; those without workflows find what names none
	workflow []found // asked about the victim alone, by log, tables and heads
}

// The victim's partition, in the order in which it was written: who, and which
// signal. Heads with windows of four are taken of these; every workflow's first
// is its start.
var scene = []string{
	"victim", "other", "victim a", "third", // 1 to 4
	"victim b", "other a", "victim c", "third a", // 5 to 8
	"other b", "victim d", "victim e", "third b", // 9 to 12
	"other c", "third c", // 13, 14
}

// at is the record with a sequence.
func at(records []record, sequence uint64) *record {
	i := slices.IndexFunc(records, func(r record) bool { return r.sequence == sequence })
	return &records[i]
}

func drop(records []record, sequence uint64) []record {
	return slices.DeleteFunc(records, func(r record) bool { return r.sequence == sequence })
}

// exchange gives each of two records the other's contents; their places and
// times stay.
func exchange(records []record, a, b uint64) []record {
	x, y := at(records, a), at(records, b)
	x.subject, y.subject = y.subject, x.subject
	x.header, y.header = y.header, x.header
	x.body, y.body = y.body, x.body
	return records
}

// resign writes workflows' commits from a sequence on anew: another signal, and
// a chain that is right.
func resign(t *testing.T, records []record, from uint64) []record {
	t.Helper()
	hashes := map[string]events.Hash{}
	for i := range records {
		r := &records[i]
		if r.sequence < from {
			c, err := events.Decode(r.message(t))
			if err != nil {
				t.Fatal(err)
			}
			hashes[r.subject] = c.Hash
			continue
		}
		hashes[r.subject] = r.rewrite(t, hashes[r.subject], forged)
	}
	return records
}

func forged(es []*events.Event) {
	for _, e := range es {
		if s := e.GetWorkflowExecutionSignaledEventAttributes(); s != nil {
			s.SignalName = "X" // as long as it was
		}
	}
}

const (
	gap       = "gap"
	chain     = "broken chain"
	foreign   = "foreign message"
	envelope  = "wrong envelope"
	notFolded = "cannot be folded"
	pointless = "wrong checkpoint"
	notInLog  = "not in the log"
	column    = "wrong column"
	extra     = "extra row"
	nothing   = "nothing compared"
	lag       = "lag"
	short     = "ends before the head"
	other     = "differs from the head"
)

// The partition is 0: the log has one stream.
var tamperings = []tampering{
	{name: "untouched", why: "what was copied to another disk is the same log"},
	{
		name: "one message deleted", why: "a gap; the next of the workflow does not follow",
		disk: func(_ *testing.T, rs []record) []record { return drop(rs, 5) },
		log: []found{
			{gap, "", "log 0:6: sequences 5 to 5 are missing"},
			{chain, "victim", "log 0:7: "},
		},
		tables: []found{
			{notFolded, "victim", "position 0:7: it follows the commit at 5, which the tables do not have"},
		},
		heads: []found{
			{other, "", "log 0:5: sequences 5 to 8 hold 3 messages where there were 4"},
		},
		workflow: []found{
			{chain, "victim", "log 0:7: "},
			{notFolded, "victim", "position 0:7: it follows the commit at 5, which the tables do not have"},
		},
	},
	{
		name: "one message deleted by an administrator", why: "through the API, on a stream made anew that allowed it for a while",
		online: deleteOnline,
		log: []found{
			{gap, "", "log 0:6: sequences 5 to 5 are missing"},
			{chain, "victim", "log 0:7: "},
		},
		tables: []found{
			{pointless, "", "the checkpoint says that commit 0:14 was stored at "},
			{notFolded, "victim", "position 0:7: it follows the commit at 5, which the tables do not have"},
		},
		heads: []found{
			{other, "", "log 0:5: sequences 5 to 8 hold 3 messages where there were 4"},
		},
		workflow: []found{
			{chain, "victim", "log 0:7: "},
			{pointless, "", "the checkpoint says that commit 0:14 was stored at "},
			{notFolded, "victim", "position 0:7: it follows the commit at 5, which the tables do not have"},
		},
	},
	{
		name: "a workflow's last message deleted", why: "only its number is missing; no chain goes on from it",
		disk: func(_ *testing.T, rs []record) []record { return drop(rs, 11) },
		log: []found{
			{gap, "", "log 0:12: sequences 11 to 11 are missing"},
		},
		tables: []found{
			{extra, "victim", "annals.events event_id 6"},
			{column, "victim", "annals.executions column updated_at"},
			{column, "victim", "annals.executions column signals: the table has \"5\", the log says \"4\""},
			{column, "victim", "annals.executions column history_length"},
			{column, "victim", "annals.executions column history_size_bytes"},
			{column, "victim", "annals.executions column last_sequence: the table has \"11\", the log says \"10\""},
			{column, "victim", "annals.executions column state"},
			{column, "victim", "annals.workflows column last_sequence: the table has \"11\", the log says \"10\""},
			{column, "victim", "annals.workflows column last_hash"},
			{extra, "victim", "annals.signals event_id 6"},
		},
		heads: []found{
			{other, "", "log 0:9: sequences 9 to 12 hold 3 messages where there were 4"},
			{short, "victim", "log 0:11: it ended here, with event 6; in the log it ends at 10"},
		},
		workflow: []found{
			{extra, "victim", "annals.events event_id 6"},
			{column, "victim", "annals.executions column updated_at"},
			{column, "victim", "annals.executions column signals: the table has \"5\", the log says \"4\""},
			{column, "victim", "annals.executions column history_length"},
			{column, "victim", "annals.executions column history_size_bytes"},
			{column, "victim", "annals.executions column last_sequence: the table has \"11\", the log says \"10\""},
			{column, "victim", "annals.executions column state"},
			{column, "victim", "annals.workflows column last_sequence: the table has \"11\", the log says \"10\""},
			{column, "victim", "annals.workflows column last_hash"},
			{extra, "victim", "annals.signals event_id 6"},
			{short, "victim", "log 0:11: it ended here, with event 6; in the log it ends at 10"},
		},
	},
	{
		name: "the last message of all deleted", why: "its number stays, as after a delete by the server",
		disk: func(_ *testing.T, rs []record) []record {
			at(rs, 14).sequence |= erasedRecord
			return rs
		},
		log: []found{
			{gap, "", "log 0:14: sequences 14 to 14 are missing, and nothing comes after them"},
		},
		tables: []found{
			{pointless, "", "partition 0: checkpoint 0:14 does not fit the log: the log has no message there"},
			{notInLog, "third", "position 0:14: "},
			{nothing, "", "no row of the tables was compared"},
		},
		heads: []found{
			{short, "", "log 0:14: partition 0 ends at 13, its head is at 14"},
			{short, "third", "log 0:14: it ended here, with event 4; in the log it ends at 12"},
		},
		workflow: []found{
			{gap, "", "log 0:14: sequences 14 to 14 are missing, and nothing comes after them"},
			{pointless, "", "partition 0: checkpoint 0:14 does not fit the log: the log has no message there"},
			{nothing, "", "no row of the tables was compared"},
		},
	},
	{
		name: "one message altered", why: "a byte of a body: its own hash is wrong",
		disk: func(t *testing.T, rs []record) []record {
			r := at(rs, 5)
			r.body = []byte(strings.Replace(string(r.body), "b", "B", 1))
			return rs
		},
		log: []found{
			{chain, "victim", "log 0:5: "},
		},
		tables: []found{
			{notFolded, "victim", "position 0:5: the chain is broken"},
		},
		heads: []found{
			{other, "", "log 0:5: sequences 5 to 8 hold 4 messages that were others"},
		},
		workflow: []found{
			{chain, "victim", "log 0:5: "},
			{notFolded, "victim", "position 0:5: the chain is broken"},
		},
	},
	{
		name: "two messages of a workflow swapped", why: "the first names a commit that is not there yet",
		disk: func(_ *testing.T, rs []record) []record { return exchange(rs, 5, 7) },
		log: []found{
			{foreign, "victim", "log 0:5: the log is corrupt at 0:5 (default/victim): header A-Back: commit 5 is not before 5"},
			{chain, "victim", "log 0:10: "},
		},
		tables: []found{
			{notFolded, "victim", "position 0:5: "},
		},
		heads: []found{
			{other, "", "log 0:5: sequences 5 to 8 hold 4 messages that were others"},
		},
		workflow: []found{
			{foreign, "victim", "log 0:5: the log is corrupt at 0:5 (default/victim): header A-Back: commit 5 is not before 5"},
			{chain, "victim", "log 0:10: "},
			{notFolded, "victim", "position 0:5: "},
		},
	},
	{
		name: "the last messages of two workflows swapped", why: "no chain says in which order two workflows went on",
		disk: func(_ *testing.T, rs []record) []record { return exchange(rs, 11, 12) },
		log: []found{
			{envelope, "third", "log 0:14: it names 12 as a commit before it, that is 11"},
		},
		tables: []found{
			{column, "third", "annals.events event_id 3 column sequence: the table has \"12\", the log says \"11\""},
			{column, "victim", "annals.events event_id 6 column sequence: the table has \"11\", the log says \"12\""},
			{column, "victim", "annals.executions column last_sequence"},
			{column, "victim", "annals.workflows column last_sequence"},
		},
		heads: []found{
			{other, "", "log 0:9: sequences 9 to 12 hold 4 messages that were others"},
			{other, "victim", "log 0:12: it ended at 11, here is another message of it"},
		},
		workflow: []found{
			{column, "victim", "annals.events event_id 6 column sequence: the table has \"11\", the log says \"12\""},
			{column, "victim", "annals.executions column last_sequence"},
			{column, "victim", "annals.workflows column last_sequence"},
			{other, "victim", "log 0:12: it ended at 11, here is another message of it"},
		},
	},
	{
		name: "one inserted by hand", why: "published past the library",
		online: func(t *testing.T, js jetstream.JetStream) {
			w := events.Workflow{Namespace: "default", ID: "victim"}
			if _, err := js.Publish(t.Context(), w.Subject(), []byte("hello")); err != nil {
				t.Fatal(err)
			}
		},
		log: []found{
			{foreign, "victim", "log 0:15: the log is corrupt at 0:15 (default/victim): header Annals: is missing"},
		},
		tables: []found{
			{lag, "victim", "the first that they lack is at 0:15"},
		},
		workflow: []found{
			{foreign, "victim", "log 0:15: the log is corrupt at 0:15 (default/victim): header Annals: is missing"},
			{lag, "victim", "the tables are at 14, the workflow ended at 15"},
		},
	},
	{
		name: "one inserted in the middle", why: "what follows is moved by one, and its hints are wrong",
		disk: func(_ *testing.T, rs []record) []record {
			for i := range rs[8:] {
				rs[8+i].sequence++
			}
			hello := *at(rs, 8)
			hello.sequence, hello.body = 9, []byte("hello")
			return slices.Insert(rs, 8, hello)
		},
		log: []found{
			{chain, "third", "log 0:9: "},
			{envelope, "victim", "log 0:12: it names 10 as a commit before it, that is 11"},
			{envelope, "third", "log 0:13: it names 8 as a commit before it, that is 9"},
			{envelope, "other", "log 0:14: it names 9 as a commit before it, that is 10"},
			{envelope, "third", "log 0:15: it names 12 as a commit before it, that is 13"},
		},
		tables: []found{
			{lag, "third", "the first that they lack is at 0:15"},
			{pointless, "", "partition 0: checkpoint 0:14 does not fit the log: the log has another commit there"},
			{notInLog, "victim", "position 0:11: "},
			{notInLog, "other", "position 0:13: "},
			{notInLog, "third", "position 0:14: "},
			{nothing, "", "no row of the tables was compared"},
		},
		heads: []found{
			{other, "", "log 0:9: sequences 9 to 14 hold 6 messages that were others"},
			{other, "victim", "log 0:12: it ended at 11, here is another message of it"},
			{other, "other", "log 0:14: it ended at 13, here is another message of it"},
			{short, "third", "log 0:14: it ended here, with event 4; in the log it ends at 13"},
		},
		workflow: []found{
			{envelope, "victim", "log 0:12: it names 10 as a commit before it, that is 11"},
			{pointless, "", "partition 0: checkpoint 0:14 does not fit the log: the log has another commit there"},
			{notInLog, "victim", "position 0:11: "},
			{nothing, "", "no row of the tables was compared"},
			{other, "victim", "log 0:12: it ended at 11, here is another message of it"},
		},
	},
	{
		name: "the stream cut short", why: "every chain is whole as far as it goes",
		disk: func(_ *testing.T, rs []record) []record { return rs[:10] },
		tables: []found{
			{pointless, "", "partition 0: checkpoint 0:14 does not fit the log: the log ends at 10: it lost commits that the tables have"},
			{notInLog, "victim", "position 0:11: "},
			{notInLog, "other", "position 0:13: "},
			{notInLog, "third", "position 0:14: "},
			{nothing, "", "no row of the tables was compared"},
		},
		heads: []found{
			{short, "", "log 0:11: partition 0 ends at 10, its head is at 14: it was cut short"},
			{short, "victim", "log 0:11: it ended here, with event 6; in the log it ends at 10"},
			{short, "other", "log 0:13: it ended here, with event 4; in the log it ends at 9"},
			{short, "third", "log 0:14: it ended here, with event 4; in the log it ends at 8"},
		},
		workflow: []found{
			{pointless, "", "partition 0: checkpoint 0:14 does not fit the log: the log ends at 10: it lost commits that the tables have"},
			{notInLog, "victim", "position 0:11: "},
			{nothing, "", "no row of the tables was compared"},
			{short, "victim", "log 0:11: it ended here, with event 6; in the log it ends at 10"},
		},
	},
	{
		name: "restored from an older backup", why: "a restore raises the epoch",
		disk:   func(_ *testing.T, rs []record) []record { return rs[:10] },
		online: nextEpoch,
		tables: []found{
			{pointless, "", "partition 0: checkpoint 0:14 does not fit the log: the tables were made in epoch 1, this is 2: the log was restored"},
			{notInLog, "victim", "position 0:11: "},
			{notInLog, "other", "position 0:13: "},
			{notInLog, "third", "position 0:14: "},
			{pointless, "", "control stream: the tables were made from log "},
			{nothing, "", "no row of the tables was compared"},
		},
		heads: []found{
			{short, "", "log 0:11: partition 0 ends at 10, its head is at 14: the log was restored (epoch 2, the head's was 1) from a backup that is older"},
			{short, "victim", "log 0:11: it ended here, with event 6; in the log it ends at 10"},
			{short, "other", "log 0:13: it ended here, with event 4; in the log it ends at 9"},
			{short, "third", "log 0:14: it ended here, with event 4; in the log it ends at 8"},
		},
		workflow: []found{
			{pointless, "", "partition 0: checkpoint 0:14 does not fit the log: the tables were made in epoch 1, this is 2: the log was restored"},
			{notInLog, "victim", "position 0:11: "},
			{nothing, "", "no row of the tables was compared"},
			{short, "victim", "log 0:11: it ended here, with event 6; in the log it ends at 10"},
		},
	},
	{
		name: "a suffix rewritten", why: "other signals from 10 on, every hash right",
		disk: func(t *testing.T, rs []record) []record { return resign(t, rs, 10) },
		tables: []found{
			{pointless, "", "partition 0: checkpoint 0:14 does not fit the log: the log has another commit there"},
			{notInLog, "victim", "position 0:11: "},
			{notInLog, "other", "position 0:13: "},
			{notInLog, "third", "position 0:14: "},
			{nothing, "", "no row of the tables was compared"},
		},
		heads: []found{
			{other, "", "log 0:9: sequences 9 to 14 hold 6 messages that were others"},
			{other, "victim", "log 0:11: its last commit has chain hash "},
			{other, "other", "log 0:13: its last commit has chain hash "},
			{other, "third", "log 0:14: its last commit has chain hash "},
		},
		workflow: []found{
			{pointless, "", "partition 0: checkpoint 0:14 does not fit the log: the log has another commit there"},
			{notInLog, "victim", "position 0:11: "},
			{nothing, "", "no row of the tables was compared"},
			{other, "victim", "log 0:11: its last commit has chain hash "},
		},
	},
	{
		name: "a workflow's suffix rewritten", why: "other signals from 10 on, every hash right; the last commit of all is what it was",
		disk: func(t *testing.T, rs []record) []record {
			own := []record{*at(rs, 1), *at(rs, 3), *at(rs, 5), *at(rs, 7), *at(rs, 10), *at(rs, 11)}
			for _, r := range resign(t, own, 10) {
				*at(rs, r.sequence) = r
			}
			return rs
		},
		tables: []found{
			{column, "victim", "annals.events event_id 5 column name: the table has \"d\", the log says \"X\""},
			{column, "victim", "annals.events event_id 6 column name: the table has \"e\", the log says \"X\""},
			{column, "victim", "annals.workflows column last_hash"},
			{column, "victim", "annals.signals event_id 5 column signal_name: the table has \"d\", the log says \"X\""},
			{column, "victim", "annals.signals event_id 6 column signal_name: the table has \"e\", the log says \"X\""},
		},
		heads: []found{
			{other, "", "log 0:9: sequences 9 to 12 hold 4 messages that were others"},
			{other, "victim", "log 0:11: its last commit has chain hash "},
		},
		workflow: []found{
			{column, "victim", "annals.events event_id 5 column name: the table has \"d\", the log says \"X\""},
			{column, "victim", "annals.events event_id 6 column name: the table has \"e\", the log says \"X\""},
			{column, "victim", "annals.workflows column last_hash"},
			{column, "victim", "annals.signals event_id 5 column signal_name: the table has \"d\", the log says \"X\""},
			{column, "victim", "annals.signals event_id 6 column signal_name: the table has \"e\", the log says \"X\""},
			{other, "victim", "log 0:11: its last commit has chain hash "},
		},
	},
	{
		name: "the stream made anew", why: "the same messages, stored again an hour later",
		disk: func(_ *testing.T, rs []record) []record {
			for i := range rs {
				rs[i].time += int64(time.Hour)
			}
			return rs
		},
		tables: []found{
			{pointless, "", "the checkpoint says that commit 0:14 was stored at "},
		},
		heads: []found{
			{other, "", "log 0:14: the message is the same, but was stored at "},
		},
		workflow: []found{
			{pointless, "", "the checkpoint says that commit 0:14 was stored at "},
		},
	},
}

// TestTamperEvidence harms copies of one log, each in one way, and has the built
// programs find it: whoever asks, and whatever they have to go by.
func TestTamperEvidence(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, tt := range tamperings {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := s.tampered(t, tt)
			for _, ask := range []struct {
				what string
				args []string
				want []found
			}{
				{"verify", []string{"verify"}, slices.Concat(tt.log, tt.tables)},
				{"verify with heads", []string{"verify", "--heads", s.heads}, slices.Concat(tt.log, tt.tables, tt.heads)},
				{"verify one workflow", []string{"verify", "--heads", s.heads, "--workflow", "victim"}, tt.workflow},
				{"heads with workflows", []string{"log", "heads", "--check", s.heads}, tt.heads},
				{"heads without", []string{"log", "heads", "--check", s.marks}, slices.DeleteFunc(slices.Clone(tt.heads), func(f found) bool { return f.workflow != "" })},
			} {
				code := min(len(ask.want), 1)

				if ask.args[0] == "verify" {
					ask.args = append(ask.args, "--wait", "0s")
				}
				r := e.run("annals", append(ask.args, "-o", "json")...)
				if r.code != code {
					t.Errorf("%s: exit code %d, want %d\n%s%s", ask.what, r.code, code, r.stdout, r.stderr)
					continue
				}
				compareFound(t, ask.what, parse[verified](t, r.stdout), ask.want)
			}
		})
	}
}

func compareFound(t *testing.T, what string, v verified, want []found) {
	t.Helper()
	var got []found
	for i, d := range v.Differences {
		f := found{d.Kind, d.Workflow, d.Where}
		if i < len(want) && strings.Contains(d.Where, want[i].where) {
			f.where = want[i].where
		}
		got = append(got, f)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(found{})); diff != "" {
		t.Errorf("%s (-want +found):\n%s", what, diff)
	}
}

// tamperScene is a log on a disk, its tables, and the heads that were taken of it.
type tamperScene struct {
	store        string // of the stopped server
	database     string
	heads, marks string // with workflows, and without
}

func newScene(t *testing.T) *tamperScene {
	t.Helper()
	dir := t.TempDir()
	s := &tamperScene{store: filepath.Join(dir, "store"), database: testenv.Postgres(t), heads: filepath.Join(dir, "heads.jsonl"), marks: filepath.Join(dir, "marks.jsonl")}
	server := testenv.OwnServer(t, embednats.Options{StoreDir: s.store})
	e := environment{t: t, nats: server.ClientURL(), database: s.database}
	e.prepare("--streams", "1")
	p := e.startProjector()
	log := e.log(t)
	for _, what := range scene {
		who, signal, _ := strings.Cut(what, " ")
		r := events.Request{Workflow: events.Workflow{Namespace: "default", ID: who}}
		if signal == "" {
			r.Events = []*events.Event{events.WorkflowStarted("Order", "orders")}
		} else {
			r.Expect, r.Events = events.AtEnd(), []*events.Event{events.Signaled(signal)}
		}
		if _, err := log.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	e.annals(0, "verify")
	p.kill()
	e.annals(0, "log", "heads", "--window", "4", "--workflows", "--out", s.heads)
	e.annals(0, "log", "heads", "--window", "4", "--out", s.marks)
	// A client cannot delete: the disk is what is left.
	js, err := jetstream.New(log.Conn())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), natslog.StreamName(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 5); err == nil {
		t.Error("the server deleted a message of the log")
	}
	log.Conn().Close()
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	return s
}

// tampered is a server on a copy of the scene that was tampered with.
func (s *tamperScene) tampered(t *testing.T, tt tampering) environment {
	t.Helper()
	store := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(store, os.DirFS(s.store)); err != nil {
		t.Fatal(err)
	}
	if tt.disk != nil {
		writeRecords(t, store, 0, tt.disk(t, readRecords(t, store, 0)))
	}
	server := testenv.OwnServer(t, embednats.Options{StoreDir: store})
	if tt.online != nil {
		js, err := jetstream.New(testenv.Connect(t, server.ClientURL()))
		if err != nil {
			t.Fatal(err)
		}
		tt.online(t, js)
	}
	return environment{t: t, nats: server.ClientURL(), database: s.database}
}

// deleteOnline makes the stream anew, with the same messages but one, and leaves
// it as a log's stream must be.
func deleteOnline(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := js.Stream(t.Context(), natslog.StreamName(0))
	check(err)
	c := s.CachedInfo().Config
	var messages []*jetstream.RawStreamMsg
	for seq := range uint64(len(scene)) {
		m, err := s.GetMsg(t.Context(), seq+1)
		check(err)
		messages = append(messages, m)
	}
	check(js.DeleteStream(t.Context(), c.Name))
	c.DenyDelete = false
	s, err = js.CreateStream(t.Context(), c)
	check(err)
	for _, m := range messages {
		_, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data})
		check(err)
	}
	check(s.DeleteMsg(t.Context(), 5))
	c.DenyDelete = true
	_, err = js.UpdateStream(t.Context(), c)
	check(err)
}

// nextEpoch is what a restore does beside putting the messages back.
func nextEpoch(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for _, name := range []string{natslog.StreamName(0), natslog.HeartbeatStream, natslog.ControlStream} {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		c := s.CachedInfo().Config
		c.Metadata["annals.epoch"] = "2"
		if _, err := js.UpdateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}
