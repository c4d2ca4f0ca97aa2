package cli

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

func logCommand(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "log",
		Short: "Create, inspect, check, mend, back up and restore the log",
	}, logCreateCommand(a), logInfoCommand(a), logCheckCommand(a), logVoidCommand(a),
		logHeadsCommand(a), logBackupCommand(a), logRestoreCommand(a),
	)
}

func logCreateCommand(a *app) *cobra.Command {
	var create natslog.CreateOptions
	c := &cobra.Command{
		Use:   "create",
		Short: "Create the log's streams",
		Long: `Creates the streams of a log, or checks those that are there. It may be repeated, and done by several at
once: all get the same log. A log that is there and not as the flags say is refused. A log of a version before
heartbeats, or before decisions that are no events, gets its stream of them.`,
		Example: `  annals log create
  annals log create --streams 16 --replicas 3 --heartbeat-age 72h`,
		Args: cobra.NoArgs,
	}
	c.Flags().IntVar(&create.Streams, "streams", 0, fmt.Sprintf("number of streams, 1 to %d (default 16, or as it is)", events.Slots))
	c.Flags().IntVar(&create.Replicas, "replicas", 0, "replicas of each stream, 1 to 5 (default 1, or as it is)")
	c.Flags().DurationVar(&create.HeartbeatAge, "heartbeat-age", 0, "how long the last heartbeat of an activity is kept, at least 100ms (default 24h, or as it is)")
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if f := c.Flags(); f.Changed("streams") && create.Streams == 0 || f.Changed("replicas") && create.Replicas == 0 {
			return usagef("--streams and --replicas are at least 1")
		} else if f.Changed("heartbeat-age") && create.HeartbeatAge <= 0 {
			return usagef("--heartbeat-age is %s, it is at least 100ms", create.HeartbeatAge)
		}
		nc, err := a.servers.NATS()
		if err != nil {
			return err
		}
		a.onClose(nc.Close)
		js, err := jetstream.New(nc)
		if err != nil {
			return err
		}
		id, err := natslog.Create(c.Context(), js, create)
		if err != nil {
			return err
		}
		return a.printLog(c, o, js, id)
	}
	return c
}

func logInfoCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:     "info",
		Short:   "Which log it is, and what its streams hold",
		Example: `  annals log info -o json`,
		Args:    cobra.NoArgs,
	}
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, _ []string) error {
		log, err := a.log(c.Context())
		if err != nil {
			return err
		}
		return a.printLog(c, o, log.JetStream(), log.Identity())
	}
	return c
}

// logInfo is `log info -o json`.
type logInfo struct {
	LogID      string        `json:"logId"`
	Epoch      uint32        `json:"epoch"`
	Format     int           `json:"format"`
	MapVersion int           `json:"mapVersion"`
	Slots      int           `json:"slots"`
	Replicas   int           `json:"replicas"`
	Commits    uint64        `json:"commits"`
	Bytes      uint64        `json:"bytes"` // of the partitions' streams
	Streams    []streamInfo  `json:"streams"`
	Heartbeats heartbeatInfo `json:"heartbeats"`
	Control    controlInfo   `json:"control"`
}

// controlInfo is the control stream.
type controlInfo struct {
	Name         string    `json:"name"`
	Replicas     int       `json:"replicas"`
	Leader       string    `json:"leader"`
	Decisions    uint64    `json:"decisions"`
	Bytes        uint64    `json:"bytes"`
	LastSequence uint64    `json:"lastSequence"`
	LastTime     time.Time `json:"lastTime"`
}

func describeControl(s *jetstream.StreamInfo) controlInfo {
	v := controlInfo{
		Name: s.Config.Name, Replicas: s.Config.Replicas, Decisions: s.State.Msgs, Bytes: s.State.Bytes,
		LastSequence: s.State.LastSeq, LastTime: s.State.LastTime,
	}
	if s.Cluster != nil {
		v.Leader = s.Cluster.Leader
	}
	return v
}

// heartbeatInfo is the stream of heartbeats.
type heartbeatInfo struct {
	Name          string          `json:"name"`
	Age           pgstore.Timeout `json:"age"` // how long one is kept
	Replicas      int             `json:"replicas"`
	Leader        string          `json:"leader"`
	Activities    uint64          `json:"activities"` // that have one
	Bytes         uint64          `json:"bytes"`
	FirstSequence uint64          `json:"firstSequence"`
	LastSequence  uint64          `json:"lastSequence"`
	LastTime      time.Time       `json:"lastTime"`
}

func describeHeartbeats(s *jetstream.StreamInfo) heartbeatInfo {
	v := heartbeatInfo{
		Name: s.Config.Name, Age: pgstore.Timeout(s.Config.MaxAge), Replicas: s.Config.Replicas, Activities: s.State.Msgs, Bytes: s.State.Bytes,
		FirstSequence: s.State.FirstSeq, LastSequence: s.State.LastSeq, LastTime: s.State.LastTime,
	}
	if s.Cluster != nil {
		v.Leader = s.Cluster.Leader
	}
	return v
}

type streamInfo struct {
	Name          string    `json:"name"`
	Partition     int       `json:"partition"`
	FirstSlot     int       `json:"firstSlot"`
	EndSlot       int       `json:"endSlot"` // exclusive
	Replicas      int       `json:"replicas"`
	Leader        string    `json:"leader"`
	Commits       uint64    `json:"commits"`
	Bytes         uint64    `json:"bytes"`
	Workflows     uint64    `json:"workflows"`
	FirstSequence uint64    `json:"firstSequence"`
	LastSequence  uint64    `json:"lastSequence"`
	LastTime      time.Time `json:"lastTime"`
}

func describeLog(id events.Identity, streams []wiring.Stream) logInfo {
	v := logInfo{LogID: id.LogID, Epoch: id.Epoch, Format: id.Format, MapVersion: id.Map.Version, Slots: events.Slots, Streams: []streamInfo{}}
	for _, s := range streams {
		state := s.Info.State
		i := streamInfo{
			Name: s.Info.Config.Name, Partition: int(s.Partition), FirstSlot: int(s.Slots.First), EndSlot: int(s.Slots.End),
			Replicas: s.Info.Config.Replicas, Commits: state.Msgs, Bytes: state.Bytes, Workflows: state.NumSubjects,
			FirstSequence: state.FirstSeq, LastSequence: state.LastSeq, LastTime: state.LastTime,
		}
		if s.Info.Cluster != nil {
			i.Leader = s.Info.Cluster.Leader
		}
		v.Replicas = s.Info.Config.Replicas
		v.Commits += i.Commits
		v.Bytes += i.Bytes
		v.Streams = append(v.Streams, i)
	}
	return v
}

func (a *app) printLog(c *cobra.Command, o *output, js jetstream.JetStream, id events.Identity) error {
	streams, err := wiring.Streams(c.Context(), js, id)
	if err != nil {
		return err
	}
	heartbeats, err := wiring.Heartbeats(c.Context(), js)
	if err != nil {
		return err
	}
	v := describeLog(id, streams)
	v.Heartbeats = describeHeartbeats(heartbeats)
	control, err := wiring.Control(c.Context(), js)
	if err != nil {
		return err
	}
	v.Control = describeControl(control)
	if o.is(formatJSON) {
		return printJSON(a.out, v)
	}
	head := newTable(a.out)
	head.row("log", v.LogID)
	head.row("epoch", v.Epoch)
	head.row("format", v.Format)
	head.row("replicas", v.Replicas)
	head.row("commits", v.Commits)
	head.row("bytes", v.Bytes)
	head.row("heartbeats", fmt.Sprintf("%d, %d bytes, kept for %s", v.Heartbeats.Activities, v.Heartbeats.Bytes, time.Duration(v.Heartbeats.Age)))
	head.row("decisions", fmt.Sprintf("%d, %d bytes", v.Control.Decisions, v.Control.Bytes))
	if err := head.flush(); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	t := newTable(a.out, "stream", "slots", "workflows", "commits", "bytes", "first", "last", "last time", "leader")
	for _, s := range v.Streams {
		t.row(s.Name, fmt.Sprintf("%d-%d", s.FirstSlot, s.EndSlot-1), s.Workflows, s.Commits, s.Bytes, s.FirstSequence, s.LastSequence, s.LastTime, s.Leader)
	}
	return t.flush()
}
