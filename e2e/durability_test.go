package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/embednats"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

var longDurability = flag.Bool("durability.long", false, "lose single servers and disks of three too, and have them sync")

// What ARCHITECTURE.md's table says an acknowledged append survives, on servers
// that are processes of their own. Of its columns the loss of power is not shown
// here: no process can cut it for its machine.

// shipped is a configuration of deploy/nats.
func shipped(name string) string { return filepath.Join("..", "deploy", "nats", name) }

// byDefault is the same configuration without what makes it sync.
func byDefault(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(shipped(name))
	if err != nil {
		t.Fatal(err)
	}
	without := strings.Replace(string(text), "sync_interval: always", "", 1)
	if without == string(text) {
		t.Fatalf("%s does not say sync_interval: always", name)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(without), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// nodes are the servers of one log, each a process with a store of its own.
type nodes struct {
	t         *testing.T
	processes []*testenv.Process
	stores    []string
	nc        *nats.Conn
}

// startNodes runs so many servers by a configuration and makes a log with as
// many replicas of each stream.
func startNodes(t *testing.T, n int, conf string) *nodes {
	t.Helper()
	ports, err := embednats.StablePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	var routes []string
	for i := range 3 {
		routes = append(routes, fmt.Sprintf("NATS_ROUTE_%d=nats://127.0.0.1:%d", i+1, ports[min(i, n-1)]))
	}
	d := &nodes{t: t}
	var urls []string
	for i := range n {
		store := filepath.Join(t.TempDir(), "store")
		p := testenv.NATSProcess(t, conf, append(routes,
			fmt.Sprintf("NATS_NAME=annals-%d", i+1), fmt.Sprintf("NATS_CLUSTER_PORT=%d", ports[i]), "NATS_STORE_DIR="+store)...)
		d.processes, d.stores, urls = append(d.processes, p), append(d.stores, store), append(urls, p.URL())
	}
	d.nc = testenv.Connect(t, strings.Join(urls, ","), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // connections are cut on purpose
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	js := d.jetStream()
	for {
		_, err := natslog.Create(ctx, js, natslog.CreateOptions{Streams: 1, Replicas: n})
		if err == nil {
			return d
		}
		if ctx.Err() != nil {
			t.Fatal(err) // the servers do not find each other
		}
	}
}

func (d *nodes) jetStream() jetstream.JetStream {
	d.t.Helper()
	js, err := jetstream.New(d.nc)
	if err != nil {
		d.t.Fatal(err)
	}
	return js
}

// open opens the log as soon as its servers serve it.
func (d *nodes) open(c natslog.Config) *natslog.Log {
	d.t.Helper()
	js := d.jetStream()
	for until := time.Now().Add(patience); ; {
		ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Second)
		log, err := natslog.Open(ctx, js, c)
		cancel()
		if err == nil {
			return log
		}
		if time.Now().After(until) {
			d.t.Fatal(err)
		}
	}
}

// info is what the server says of the log's stream, once one does.
func (d *nodes) info() *jetstream.StreamInfo {
	d.t.Helper()
	js := d.jetStream()
	for until := time.Now().Add(patience); ; {
		ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Second)
		s, err := js.Stream(ctx, natslog.StreamName(0))
		cancel()
		if err == nil {
			return s.CachedInfo()
		}
		if time.Now().After(until) {
			d.t.Fatal(err)
		}
	}
}

// leader is the number of the server that leads the log's stream.
func (d *nodes) leader() int {
	d.t.Helper()
	for {
		if c := d.info().Cluster; c != nil {
			var n int
			if _, err := fmt.Sscanf(c.Leader, "annals-%d", &n); err == nil {
				return n - 1
			}
		}
	}
}

// current waits until every replica has all that the stream has.
func (d *nodes) current() {
	d.t.Helper()
	for until := time.Now().Add(patience); ; {
		c := d.info().Cluster
		all := c != nil && c.Leader != "" && len(c.Replicas) == len(d.processes)-1
		if all {
			for _, r := range c.Replicas {
				all = all && r.Current && !r.Offline
			}
		}
		if all {
			return
		}
		if time.Now().After(until) {
			d.t.Fatalf("the replicas do not become current: %+v", c)
		}
	}
}

// kill ends servers by SIGKILL; without a number, all.
func (d *nodes) kill(numbers ...int) {
	for _, i := range d.these(numbers) {
		d.processes[i].Kill()
	}
}

// restart starts killed servers; without a number, all.
func (d *nodes) restart(numbers ...int) {
	for _, i := range d.these(numbers) {
		d.processes[i].Restart()
	}
}

func (d *nodes) these(numbers []int) []int {
	if len(numbers) > 0 {
		return numbers
	}
	for i := range d.processes {
		numbers = append(numbers, i)
	}
	return numbers
}

// told is what the writer of one workflow was told.
type told struct {
	workflow events.Workflow
	cursor   events.Cursor   // of the last acknowledged append
	pending  *events.Request // what has an unknown outcome
	names    []string        // of acknowledged signals
}

// appendNext appends one more signal, or what is pending still. It gives an
// error where the outcome is not known, or the log is not available.
func (w *told) appendNext(t *testing.T, log *natslog.Log) error {
	r := w.pending
	if r == nil {
		name := fmt.Sprint(len(w.names))
		r = &events.Request{
			Workflow: w.workflow, CommitID: events.CommitID(name), Expect: events.After(w.cursor),
			Events: []*events.Event{events.Signaled(name)},
		}
		if len(w.names) == 0 {
			r.Expect, r.Events[0] = events.NewRun(), events.WorkflowStarted("Order", "")
		}
	}
	result, err := log.Append(t.Context(), *r)
	var unknown *events.OutcomeUnknownError
	switch {
	case err == nil:
		w.cursor, w.pending, w.names = result.Cursor, nil, append(w.names, string(r.CommitID))
	case errors.As(err, &unknown):
		again := *r
		again.Expect, w.pending = unknown.Expectation, &again
	case errors.Is(err, events.ErrUnavailable):
		w.pending = r
	default:
		t.Errorf("%s: %v, want it stored, unknown or unavailable", w.workflow, err)
	}
	return err
}

// writeWhile has all writers append until the function has returned, and each has
// been answered once more. Progress waits for so many more acknowledgements.
func writeWhile(t *testing.T, log *natslog.Log, all []*told, f func(progress func(int))) {
	t.Helper()
	stop, stored := make(chan struct{}), make(chan struct{}, 1024)
	var writing sync.WaitGroup
	for _, w := range all {
		writing.Go(func() {
			for {
				if w.appendNext(t, log) == nil {
					select {
					case stored <- struct{}{}:
					default:
					}
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	f(func(n int) {
		deadline := time.NewTimer(patience)
		defer deadline.Stop()
		for range n {
			select {
			case <-stored:
			case <-deadline.C:
				t.Error("no append is acknowledged")
				return
			}
		}
	})
	close(stop)
	writing.Wait()
}

// check holds what the log has against what writers were told: everything that
// was acknowledged, once and in order, and at most the one that is pending more.
func check(t *testing.T, log *natslog.Log, all []*told) (acknowledged int) {
	t.Helper()
	for _, w := range all {
		want := w.names
		if len(want) == 0 {
			t.Fatalf("%s: nothing was acknowledged", w.workflow)
		}
		acknowledged += len(want)
		n := 0
		for c, err := range log.Commits(t.Context(), w.workflow) {
			if err != nil {
				t.Fatalf("%s: %v", w.workflow, err)
			}
			switch {
			case n < len(want) && string(c.ID) == want[n]:
			case n == len(want) && w.pending != nil && c.ID == w.pending.CommitID:
			default:
				t.Fatalf("%s: commit %d is %q, %d were acknowledged", w.workflow, n, c.ID, len(want))
			}
			n++
		}
		if n < len(want) {
			t.Errorf("%s: %d commits are there, %d were acknowledged", w.workflow, n, len(want))
		}
	}
	return acknowledged
}

func writers(n int) []*told {
	all := make([]*told, n)
	for i := range all {
		all[i] = &told{workflow: events.Workflow{Namespace: "default", ID: fmt.Sprintf("w-%d", i)}}
	}
	return all
}

// brisk gives up on servers that are away soon.
func brisk() natslog.Config {
	return natslog.Config{AppendTimeout: 2 * time.Second, AttemptTimeout: 500 * time.Millisecond, ReadTimeout: 2 * time.Second}
}

// One server: it is killed in the middle of appends, and everything that it had
// acknowledged is there, whether it syncs or not. With its disk everything is
// gone, and the log is refused rather than begun anew.
func TestWhatOneServerAcknowledgedSurvivesItsProcess(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, conf string }{
		{"R1", byDefault(t, "single.conf")},
		{"R1 always", shipped("single.conf")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d, all := startNodes(t, 1, tc.conf), writers(4)
			log := d.open(natslog.Config{AttemptTimeout: 250 * time.Millisecond})
			for range 2 {
				writeWhile(t, log, all, func(progress func(int)) {
					progress(50)
					d.kill()
					d.restart()
					progress(1)
				})
				n := check(t, d.open(natslog.Config{}), all)
				t.Logf("killed by SIGKILL: %d acknowledged commits are there", n)
			}
			d.kill()
			if err := os.RemoveAll(d.stores[0]); err != nil {
				t.Fatal(err)
			}
			d.restart()
			until := time.Now().Add(patience)
			for {
				_, err := natslog.Open(t.Context(), d.jetStream(), natslog.Config{})
				if errors.Is(err, events.ErrWrongLog) {
					break
				}
				if err == nil || time.Now().After(until) {
					t.Fatalf("without its disk: %v, want a refusal", err)
				}
			}
		})
	}
}

// Three servers: with two of them gone no append is acknowledged, no tail told and
// no history given; when all three were killed and are back, everything that was
// acknowledged is there, and what was unknown is settled. The long version adds
// the loss of one server, and of one disk, and servers that sync.
func TestWhatThreeServersAcknowledgedSurvivesThem(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, conf string
		long       bool
	}{
		{"R3", byDefault(t, "cluster.conf"), false},
		{"R3 always", shipped("cluster.conf"), true},
	} {
		if tc.long && !*longDurability {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			d, all := startNodes(t, 3, tc.conf), writers(4)
			began := time.Now()
			say := func(what string) {
				t.Helper()
				n := check(t, d.open(natslog.Config{}), all)
				t.Logf("%4.1fs %s: %d acknowledged commits are there", time.Since(began).Seconds(), what, n)
			}
			d.loseTwo(all)
			say("two of three killed, then the third, all back")
			log := d.open(natslog.Config{})
			for _, w := range all {
				for w.pending != nil {
					if err := w.appendNext(t, log); err != nil {
						t.Fatalf("%s: what was unknown is not settled: %v", w.workflow, err)
					}
				}
			}
			if !*longDurability {
				return
			}
			writeWhile(t, log, all, func(progress func(int)) {
				progress(50)
				first := d.leader()
				d.kill(first)
				progress(50 + len(all))
				d.restart(first)
				d.current()
			})
			say("the leader killed, the others went on")
			lost := (d.leader() + 1) % 3
			writeWhile(t, log, all, func(progress func(int)) {
				d.kill(lost)
				progress(50) // what the server lacks shows that it is not current
			})
			if err := os.RemoveAll(d.stores[lost]); err != nil {
				t.Fatal(err)
			}
			d.restart(lost)
			d.current()
			d.kill(d.leader())
			say("a disk lost and filled again, then the leader killed")
		})
	}
}

// loseTwo kills the leader and another server in the middle of appends, looks at
// what the third one does alone, kills that too, and starts all again.
func (d *nodes) loseTwo(all []*told) {
	t := d.t
	leader := d.leader()
	other, third := (leader+1)%3, (leader+2)%3
	log := d.open(brisk())
	writeWhile(t, log, all, func(progress func(int)) {
		progress(50)
		d.kill(leader, other)
	})
	var asking sync.WaitGroup
	for _, w := range all {
		asking.Go(func() {
			if err := w.appendNext(t, log); err == nil {
				t.Errorf("%s: one of three servers acknowledged an append", w.workflow)
			}
		})
		asking.Go(func() {
			if c, err := log.Tail(t.Context(), w.workflow); !errors.Is(err, events.ErrUnavailable) {
				t.Errorf("%s: with one of three servers, its tail is %v, %v", w.workflow, c, err)
			}
		})
		asking.Go(func() {
			for e, err := range log.Read(t.Context(), w.workflow, events.ReadOptions{}) {
				if err == nil {
					t.Errorf("%s: with one of three servers, event %d is read", w.workflow, e.GetEventId())
				}
				break
			}
		})
	}
	asking.Wait()
	d.kill(third)
	d.restart()
	d.current()
}
