package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// nats looks at the servers and the log, which is nil if it cannot be opened.
func (x *examination) nats(ctx context.Context) events.Log {
	nc, err := x.servers.NATS()
	if err != nil {
		x.note("nats", "", err.Error())
		return nil
	}
	x.onClose(nc.Close)
	x.connection(nc)
	servers, err := x.all(ctx, nc)
	x.payload(nc, servers)
	js, jsErr := jetstream.New(nc)
	if jsErr != nil {
		x.note("jetstream", "", jsErr.Error())
		return nil
	}
	log, streams, _ := x.log(ctx, nc, js, servers) // why it is not opened is noted
	x.durability(nc, servers, wiring.Replicas(streams), err)
	x.natsClock(servers, streams)
	x.accountStorage(ctx, js)
	x.serverStorage(servers)
	x.disk(nc)
	if log == nil {
		return nil // not a nil *natslog.Log in an events.Log
	}
	return log
}

// log looks at the log and its streams. Where it is not opened it notes why, and
// gives the error.
func (x *examination) log(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, servers []wiring.Server) (*natslog.Log, []wiring.Stream, error) {
	log, err := natslog.Open(ctx, js, natslog.Config{Logger: x.servers.Logger})
	if err != nil {
		x.refused(ctx, js, err)
		return nil, nil, err
	}
	id := log.Identity()
	x.note("log", fmt.Sprintf("%s, epoch %d, format %d", id.LogID, id.Epoch, id.Format), "")
	x.note("settings", "of all streams as they must be", "")
	streams, err := wiring.ExamineStreams(ctx, js, id, x.now)
	if err != nil {
		x.note("streams", "", err.Error())
		return log, nil, nil
	}
	x.streams(id, streams)
	x.lost(ctx, nc, id, servers, streams)
	x.heartbeats(ctx, js)
	x.control(ctx, js)
	return log, streams, nil
}

// refused says why a log is not opened: all of it, where streams are not as they
// must be.
func (x *examination) refused(ctx context.Context, js jetstream.JetStream, err error) {
	var objections []error
	if errors.Is(err, events.ErrWrongLog) {
		objections = natslog.Objections(ctx, js)
	}
	if len(objections) < 2 {
		x.note("log", "", err.Error())
		return
	}
	x.note("log", "", fmt.Sprintf("it is not opened for %d reasons: see settings", len(objections)))
	for _, err := range objections {
		var wrong *events.WrongLogError
		if !errors.As(err, &wrong) {
			x.note("settings", "", err.Error())
			continue
		}
		x.note("settings", wrong.What+" is "+wrong.Got, "must be "+wrong.Want+": set it so (nats stream edit); what the server does not let you change takes a new log")
	}
}

func (x *examination) streams(id events.Identity, streams []wiring.Stream) {
	v := describeLog(id, streams)
	var bad []string
	for _, s := range streams {
		bad = append(bad, ailments(s.Info)...)
	}
	x.note("streams", fmt.Sprintf("%d, replicas %d, %s, %s bytes", len(v.Streams), v.Replicas, plural(int64(v.Commits), "commit"), grouped(int64(v.Bytes))), strings.Join(bad, "; "))
	for _, s := range streams {
		if c := s.Info.Config; c.MaxBytes > 0 {
			x.storage("stream storage", c.Name+": ", int64(s.Info.State.Bytes), c.MaxBytes, "raise its max_bytes (nats stream edit)")
		}
	}
}

// lost tells of messages that a server has had and has not any more. The leader of
// a stream knows of some; that others are gone is seen by their number, with every
// server that tells it.
func (x *examination) lost(ctx context.Context, nc *nats.Conn, id events.Identity, servers []wiring.Server, streams []wiring.Stream) {
	var bad []string
	leaders := map[string]string{}
	for _, s := range streams {
		name, state := s.Info.Config.Name, s.Info.State
		if c := s.Info.Cluster; c != nil {
			leaders[name] = c.Leader
		}
		if l := state.Lost; l != nil {
			what := fmt.Sprintf("%s: %s, %s bytes", name, plural(int64(len(l.Msgs)), "message"), grouped(int64(l.Bytes)))
			if n := len(l.Msgs); n > 0 {
				what += fmt.Sprintf(", sequences %d to %d", l.Msgs[0], l.Msgs[n-1])
			}
			bad = append(bad, what)
		} else if n := (wiring.Replica{Messages: state.Msgs, Last: state.LastSeq}).Missing(); n > 0 {
			bad = append(bad, fmt.Sprintf("%s: %s of %s", name, plural(int64(n), "message"), grouped(int64(state.LastSeq))))
		}
	}
	replicas, err := wiring.FindReplicas(ctx, nc, x.servers.Monitors, id)
	if err != nil {
		x.note("lost", "", err.Error())
	}
	names := map[string]string{}
	for _, s := range servers {
		names[s.ID] = s.Name
	}
	others := 0
	for _, r := range replicas {
		server := names[r.ServerID]
		if server != "" && server == leaders[r.Stream] {
			continue
		}
		others++
		if n := r.Missing(); n > 0 {
			bad = append(bad, fmt.Sprintf("%s on %s: %s of %s", r.Stream, server, plural(int64(n), "message"), grouped(int64(r.Last))))
		}
	}
	if len(bad) > 0 {
		x.note("lost", strings.Join(bad, "; "),
			"purged, or lost by a disk: where other servers have them, let one of these lead (nats stream cluster step-down) and have this one begin with an empty disk; else restore a backup; annals verify says which workflows")
		return
	}
	value := "nothing that the streams' leaders know of"
	if others > 0 {
		value += fmt.Sprintf(", nor %d replicas on other servers", others)
	}
	x.note("lost", value, "")
}

func (x *examination) heartbeats(ctx context.Context, js jetstream.JetStream) {
	heartbeats, err := wiring.Heartbeats(ctx, js)
	if err != nil {
		x.note("heartbeats", "", err.Error())
		return
	}
	s := heartbeats.State
	x.note("heartbeats", fmt.Sprintf("%s, %s bytes, each kept for %s", plural(int64(s.Msgs), "heartbeat"), grouped(int64(s.Bytes)), heartbeats.Config.MaxAge),
		strings.Join(ailments(heartbeats), "; "))
}

// control describes the control stream, which has every decision that was ever made.
func (x *examination) control(ctx context.Context, js jetstream.JetStream) {
	control, err := wiring.Control(ctx, js)
	if err != nil {
		x.note("decisions", "", err.Error())
		return
	}
	s := control.State
	problems := ailments(control)
	if missing := s.LastSeq - s.Msgs; missing > 0 {
		problems = append(problems, fmt.Sprintf("%s of %s: purged, or lost by a disk: restore a backup", plural(int64(missing), "decision"), grouped(int64(s.LastSeq))))
	}
	x.note("decisions", fmt.Sprintf("%s, %s bytes", plural(int64(s.Msgs), "decision"), grouped(int64(s.Bytes))), strings.Join(problems, "; "))
}

// natsClock holds this machine's clock against those of the streams' leaders, by
// which messages are dated, and of the servers that describe themselves: the one
// that differs most counts.
func (x *examination) natsClock(servers []wiring.Server, streams []wiring.Stream) {
	type clock struct {
		whose string
		wiring.Skew
	}
	var worst *clock
	add := func(c clock) {
		if worst == nil || c.Certain() > worst.Certain() || c.Certain() == worst.Certain() && c.Within < worst.Within {
			worst = &c
		}
	}
	for _, s := range streams {
		whose := "the NATS server"
		if c := s.Info.Cluster; c != nil && c.Leader != "" {
			whose = "NATS server " + c.Leader
		}
		add(clock{whose, s.Clock})
	}
	for _, s := range servers {
		add(clock{"NATS server " + s.Name, s.Clock})
	}
	if worst != nil {
		x.clock("nats clock", worst.whose, worst.Skew, ", and, beyond a minute, an append that is sent again with its commit id alone may not be found")
	}
}

// ailments are what is wrong with the replicas of a stream.
func ailments(s *jetstream.StreamInfo) []string {
	c := s.Cluster
	if c == nil || s.Config.Replicas < 2 {
		return nil
	}
	const remedy = ": start its server, or look at its log"
	var bad []string
	if c.Leader == "" {
		bad = append(bad, s.Config.Name+" has no leader: start the servers that are down")
	}
	if have := len(c.Replicas) + 1; have < s.Config.Replicas {
		bad = append(bad, fmt.Sprintf("%s has %d of %d replicas: start the servers that are down, or add one", s.Config.Name, have, s.Config.Replicas))
	}
	for _, r := range c.Replicas {
		switch {
		case r.Offline:
			bad = append(bad, fmt.Sprintf("%s: replica %s is offline", s.Config.Name, r.Name)+remedy)
		case !r.Current:
			bad = append(bad, fmt.Sprintf("%s: replica %s is behind by %d", s.Config.Name, r.Name, r.Lag)+remedy)
		}
	}
	return bad
}
