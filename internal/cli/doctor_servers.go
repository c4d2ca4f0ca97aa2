package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/annals-io/annals/internal/wiring"
	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/events/natslog"
)

// The oldest servers that this program is tested with.
const (
	minNATS     = "2.15.2"
	minPostgres = 15
)

// connection looks at the server that answers.
func (x *examination) connection(nc *nats.Conn) {
	value := fmt.Sprintf("%s, version %s", nc.ConnectedUrlRedacted(), nc.ConnectedServerVersion())
	if cluster := nc.ConnectedClusterName(); cluster != "" {
		value += ", cluster " + cluster
	}
	problem := ""
	if !atLeast(nc.ConnectedServerVersion(), minNATS) {
		problem = "older than " + minNATS + ": install a newer one"
	}
	x.note("nats", value, problem)
}

// all looks at every server that describes itself, and gives these.
func (x *examination) all(ctx context.Context, nc *nats.Conn) ([]wiring.Server, error) {
	servers, err := wiring.FindServers(ctx, nc, x.servers.Monitors, x.now)
	switch {
	case err != nil:
		x.note("servers", "", err.Error())
	case len(servers) == 0:
		x.note("servers", "none describes itself to this account, and no --nats-monitor is given: what is said is of the connected one", "")
	default:
		var names, old []string
		for _, s := range servers {
			names = append(names, s.Name+" "+s.Version)
			if !atLeast(s.Version, minNATS) {
				old = append(old, fmt.Sprintf("%s is older than %s: install a newer one", s.Name, minNATS))
			}
		}
		x.note("servers", strings.Join(names, ", "), strings.Join(old, "; "))
	}
	return servers, err
}

// payload looks at the largest message that the servers take.
func (x *examination) payload(nc *nats.Conn, servers []wiring.Server) {
	need := natslog.NeedPayload(events.Limits{})
	least, where := nc.MaxPayload(), nc.ConnectedServerName()
	for _, s := range servers {
		if s.MaxPayload < least {
			least, where = s.MaxPayload, s.Name
		}
	}
	problem := ""
	if least < need {
		problem = fmt.Sprintf("a commit and its headers may have %s bytes: set max_payload: 4MB on %s", grouped(need), where)
	}
	x.note("max_payload", fmt.Sprint(least), problem)
}

// durability says in which mode acknowledgements are given. Replicas is 0 if
// it is not known; silent is why servers that were asked have not answered.
func (x *examination) durability(nc *nats.Conn, servers []wiring.Server, replicas int, silent error) {
	d := x.servers.DurabilityOf(nc, servers)
	if silent != nil {
		d.Why = "see servers"
	}
	const remedy = ": set sync_interval: always in the servers' configuration, as deploy/nats does"
	switch {
	case d.Mode() != "interval":
		x.note("durability", d.String(), "")
	case replicas > 1:
		x.weigh("durability", d.String(), doubtful, "acknowledged events may be lost where machines lose power together"+remedy)
	default:
		x.weigh("durability", d.String(), problematic, "without replicas, acknowledged events may be lost with the machine"+remedy)
	}
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
