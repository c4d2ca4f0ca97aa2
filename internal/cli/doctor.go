package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// finding is something that the doctor looked at.
type finding struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Problem string `json:"problem"` // empty: nothing is wrong with it
}

// diagnosis is `doctor -o json`.
type diagnosis struct {
	OK       bool      `json:"ok"`
	Findings []finding `json:"findings"`
}

// examination is a doctor at work.
type examination struct {
	*app
	maxLag   time.Duration
	monitors []string
	found    []finding
}

// supported are the oldest servers that this program is tested with.
const (
	minNATS     = "2.15.2"
	minPostgres = 15
)

func doctorCommand(a *app) *cobra.Command {
	x := &examination{app: a}
	var monitors string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "What runs, in which durability mode, and what is wrong with it",
		Long: `Looks at the servers, the log, the tables and how far these are behind. Exit code 1 if anything is wrong.

Whether acknowledged events survive a power cut is the NATS server's sync_interval, which it tells to its
system account and on its monitoring port only; annals dev says it itself.`,
		Example: `  annals doctor
  annals doctor --nats-monitor http://127.0.0.1:8222 -o json`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&monitors, "nats-monitor", env("NATS_MONITOR_URL", ""), "monitoring port of each NATS server, with commas between `URLS` ($NATS_MONITOR_URL)")
	c.Flags().DurationVar(&x.maxLag, "max-lag", 30*time.Second, "how old a commit may be that is not in the tables")
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if monitors != "" {
			x.monitors = strings.Split(monitors, ",")
		}
		x.run(c.Context())
		if c.Context().Err() != nil {
			return context.Cause(c.Context())
		}
		return x.print(o)
	}
	return c
}

func (x *examination) print(o *output) error {
	problems := 0
	for _, f := range x.found {
		if f.Problem != "" {
			problems++
		}
	}
	var err error
	if o.is(formatJSON) {
		err = printJSON(x.out, diagnosis{OK: problems == 0, Findings: x.found})
	} else {
		t := newTable(x.out)
		for _, f := range x.found {
			mark := "ok"
			value := f.Value
			if f.Problem != "" {
				mark = "PROBLEM"
				value = strings.TrimPrefix(value+": "+f.Problem, ": ")
			}
			t.row(mark, f.Name, value)
		}
		err = t.flush()
	}
	if err == nil && problems > 0 {
		return nof("%s found", plural(int64(problems), "problem"))
	}
	return err
}

// note records what was found. An empty problem is none.
func (x *examination) note(name, value, problem string) {
	x.found = append(x.found, finding{Name: name, Value: value, Problem: problem})
}

func (x *examination) run(ctx context.Context) {
	x.note("annals", thisBuild().Version, "")
	if running, err := x.servers.Running(); err != nil {
		x.note("annals dev", "", err.Error())
	} else if running != nil {
		x.note("annals dev", fmt.Sprintf("process %d in %s", running.PID, running.Folder), "")
	}
	log := x.nats(ctx)
	x.postgres(ctx, log)
}

// nats looks at the server and the log, which is nil if it cannot be opened.
func (x *examination) nats(ctx context.Context) events.Log {
	nc, err := x.servers.NATS()
	if err != nil {
		x.note("nats", "", err.Error())
		return nil
	}
	x.onClose(nc.Close)
	value := fmt.Sprintf("%s, version %s", nc.ConnectedUrlRedacted(), nc.ConnectedServerVersion())
	if cluster := nc.ConnectedClusterName(); cluster != "" {
		value += ", cluster " + cluster
	}
	problem := ""
	if !atLeast(nc.ConnectedServerVersion(), minNATS) {
		problem = "older than " + minNATS
	}
	x.note("nats", value, problem)
	if need := natslog.NeedPayload(events.Limits{}); nc.MaxPayload() < need {
		x.note("max_payload", fmt.Sprint(nc.MaxPayload()), fmt.Sprintf("a commit and its headers may have %s bytes: set max_payload: 4MB", grouped(need)))
	} else {
		x.note("max_payload", fmt.Sprint(nc.MaxPayload()), "")
	}
	js, err := jetstream.New(nc)
	if err != nil {
		x.note("jetstream", "", err.Error())
		return nil
	}
	log, err := natslog.Open(ctx, js, natslog.Config{Logger: x.servers.Logger})
	if err != nil {
		x.durability(ctx, nc, 0)
		x.note("log", "", err.Error())
		return nil
	}
	id := log.Identity()
	x.note("log", fmt.Sprintf("%s, epoch %d, format %d, settings as they must be", id.LogID, id.Epoch, id.Format), "")
	x.streams(ctx, nc, js, id)
	return log
}

func (x *examination) streams(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, id events.Identity) {
	streams, err := wiring.Streams(ctx, js, id)
	if err != nil {
		x.durability(ctx, nc, 0)
		x.note("streams", "", err.Error())
		return
	}
	v := describeLog(id, streams)
	var bad []string
	for _, s := range streams {
		bad = append(bad, ailments(s.Info)...)
	}
	x.durability(ctx, nc, v.Replicas)
	heartbeats, err := wiring.Heartbeats(ctx, js)
	if err != nil {
		x.note("heartbeats", "", err.Error())
	} else {
		s := heartbeats.State
		x.note("heartbeats", fmt.Sprintf("%s, %s bytes, each kept for %s", plural(int64(s.Msgs), "heartbeat"), grouped(int64(s.Bytes)), heartbeats.Config.MaxAge),
			strings.Join(ailments(heartbeats), "; "))
	}
	x.note("streams", fmt.Sprintf("%d, replicas %d, %s, %s bytes", len(v.Streams), v.Replicas, plural(int64(v.Commits), "commit"), grouped(int64(v.Bytes))), strings.Join(bad, "; "))
}

// ailments are what is wrong with the replicas of a stream, and its limits.
func ailments(s *jetstream.StreamInfo) []string {
	var bad []string
	if c := s.Cluster; c != nil && s.Config.Replicas > 1 {
		if c.Leader == "" {
			bad = append(bad, s.Config.Name+" has no leader")
		}
		if have := len(c.Replicas) + 1; have < s.Config.Replicas {
			bad = append(bad, fmt.Sprintf("%s has %d of %d replicas", s.Config.Name, have, s.Config.Replicas))
		}
		for _, r := range c.Replicas {
			switch {
			case r.Offline:
				bad = append(bad, fmt.Sprintf("%s: replica %s is offline", s.Config.Name, r.Name))
			case !r.Current:
				bad = append(bad, fmt.Sprintf("%s: replica %s is behind by %d", s.Config.Name, r.Name, r.Lag))
			}
		}
	}
	if limit := s.Config.MaxBytes; limit > 0 && s.State.Bytes > uint64(limit)/10*9 {
		bad = append(bad, fmt.Sprintf("%s has %d of the %d bytes that it may have, and then refuses appends", s.Config.Name, s.State.Bytes, limit))
	}
	return bad
}

// durability says in which mode acknowledgements are given. Replicas is 0 if
// it is not known.
func (x *examination) durability(ctx context.Context, nc *nats.Conn, replicas int) {
	d, err := x.servers.FindDurability(ctx, nc, x.monitors)
	problem := ""
	switch {
	case err != nil:
		problem = err.Error()
	case d.Known() && !d.Always && replicas <= 1:
		problem = "with one replica, acknowledged events may be lost with the machine: set sync_interval: always"
	}
	x.note("durability", d.String(), problem)
}

func (x *examination) postgres(ctx context.Context, log events.Log) {
	pool, err := x.app.postgres(ctx)
	if err != nil {
		x.note("postgres", "", err.Error())
		return
	}
	if err := x.servers.Ping(ctx, pool); err != nil {
		x.note("postgres", "", err.Error())
		return
	}
	var number int
	var version, database string
	if err := pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_database()`).Scan(&number, &version, &database); err != nil {
		x.note("postgres", "", err.Error())
		return
	}
	problem := ""
	if number/10000 < minPostgres {
		problem = fmt.Sprintf("older than %d", minPostgres)
	}
	x.note("postgres", fmt.Sprintf("version %s, database %s", version, database), problem)
	store, err := x.tables(ctx)
	if err == nil {
		err = store.CheckVersion(ctx)
	}
	if err != nil {
		x.note("tables", "", err.Error())
		return
	}
	x.note("tables", "of this program's version", "")
	checkpoints, err := store.Checkpoints(ctx)
	if err != nil {
		x.note("projection", "", err.Error())
		return
	}
	if log != nil {
		x.lag(ctx, log, checkpoints)
		x.heartbeatLag(ctx, log, store)
	}
}

// heartbeatLag holds what the tables have of heartbeats against the log: they are
// not far behind.
func (x *examination) heartbeatLag(ctx context.Context, log events.Log, store *pgstore.Store) {
	c, behind, err := store.HeartbeatLag(ctx, log)
	switch {
	case err != nil:
		x.note("kept heartbeats", "", err.Error())
	case behind == 0:
		x.note("kept heartbeats", "has everything", "")
	default:
		value, problem := fmt.Sprintf("at most %s behind", grouped(int64(behind))), ""
		// How old the oldest is, if it is there still.
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		for h, err := range log.FollowHeartbeats(ctx, c.Sequence) {
			if age := time.Since(h.Time).Round(time.Millisecond); err == nil && age > 0 {
				value += fmt.Sprintf(", the oldest %s old", age)
				if age > x.maxLag {
					problem = "the projector does not run, has stopped, or does not keep up"
				}
			}
			break
		}
		x.note("kept heartbeats", value, problem)
	}
}

// lag holds the checkpoints against the log: they fit, and are not far behind.
func (x *examination) lag(ctx context.Context, log events.Log, checkpoints []projection.Checkpoint) {
	id := log.Identity()
	have := make([]projection.Checkpoint, id.Map.Partitions())
	for p := range have {
		have[p] = projection.Checkpoint{Partition: events.Partition(p), LogID: id.LogID, LogEpoch: id.Epoch}
	}
	for _, c := range checkpoints {
		if int(c.Partition) < len(have) {
			have[c.Partition] = c
		}
	}
	behind := uint64(0)
	var oldest time.Time
	var bad []string
	for p, c := range have {
		if err := projection.Check(ctx, log, c); err != nil {
			bad = append(bad, err.Error())
			continue
		}
		b, err := log.Bounds(ctx, events.Partition(p))
		if err != nil {
			bad = append(bad, err.Error())
			continue
		}
		if b.Last <= c.Sequence {
			continue
		}
		behind += b.Last - c.Sequence
		next := events.Position{Partition: events.Partition(p), Sequence: c.Sequence + 1}
		m, err := log.Message(ctx, next)
		if errors.Is(err, events.ErrNotFound) {
			bad = append(bad, fmt.Sprintf("the log has nothing at %s, which comes next", next))
		} else if err == nil && (oldest.IsZero() || m.Time.Before(oldest)) {
			oldest = m.Time
		}
	}
	value := "has everything"
	if behind > 0 {
		value = fmt.Sprintf("%s behind", plural(int64(behind), "commit"))
		if !oldest.IsZero() {
			lag := max(time.Since(oldest), 0).Round(time.Millisecond)
			value += fmt.Sprintf(", the oldest %s old", lag)
			if lag > x.maxLag {
				bad = append(bad, "the projector does not run, has stopped, or does not keep up")
			}
		}
	}
	x.note("projection", value, strings.Join(bad, "; "))
}

// atLeast compares versions of three numbers, such as 2.12.0; what follows
// them does not count.
func atLeast(version, least string) bool {
	number := func(s string) (n [3]int) {
		_, _ = fmt.Sscanf(s, "%d.%d.%d", &n[0], &n[1], &n[2])
		return n
	}
	v, l := number(version), number(least)
	for i := range v {
		if v[i] != l[i] {
			return v[i] > l[i]
		}
	}
	return true
}
