package wiring

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// Replica is what one server has of one of the log's streams, leader or not.
type Replica struct {
	ServerID string
	Stream   string
	Messages uint64
	Last     uint64 // sequence; messages are numbered from 1
}

// Missing is how many messages it has had and has not any more: those that are not
// counted, since a stream of a log gives none away.
func (r Replica) Missing() uint64 { return r.Last - min(r.Messages, r.Last) }

// FindReplicas has servers say what they have of the streams of a log's partitions:
// those that FindServers asks, and in the same ways. Where nobody tells there are
// none; it fails only on a monitoring port that was given and does not answer.
func FindReplicas(ctx context.Context, nc *nats.Conn, monitors []string, id events.Identity) ([]Replica, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var all []Replica
	if len(monitors) == 0 {
		for data := range pingServers(ctx, nc, "$SYS.REQ.SERVER.PING.JSZ", `{"streams":true,"config":true}`) {
			if these, err := parseJsz(data, id); err == nil {
				all = append(all, these...)
			}
		}
		return all, nil
	}
	for _, m := range monitors {
		const page = "/jsz?streams=true&config=true"
		text, err := fetchMonitor(ctx, m, page)
		if err != nil {
			return nil, err
		}
		these, err := parseJsz(text, id)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", monitorURL(m, page), err)
		}
		all = append(all, these...)
	}
	return all, nil
}

// parseJsz reads what a server says about its streams (server/monitor.go, JSInfo):
// those of the log, whose id tells them from other accounts' of the same names.
func parseJsz(text []byte, id events.Identity) ([]Replica, error) {
	var v struct {
		ID       string `json:"server_id"`
		Accounts []struct {
			Streams []struct {
				Name   string `json:"name"`
				Config struct {
					Metadata map[string]string `json:"metadata"`
				} `json:"config"`
				State struct {
					Messages uint64 `json:"messages"`
					Last     uint64 `json:"last_seq"`
				} `json:"state"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	var all []Replica
	for _, a := range v.Accounts {
		for _, s := range a.Streams {
			if s.Name != natslog.HeartbeatStream && s.Name != natslog.ControlStream && natslog.LogIDOf(s.Config.Metadata) == id.LogID {
				all = append(all, Replica{ServerID: v.ID, Stream: s.Name, Messages: s.State.Messages, Last: s.State.Last})
			}
		}
	}
	return all, nil
}
