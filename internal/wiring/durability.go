package wiring

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Durability is when a server acknowledges what it stores.
type Durability struct {
	Always   bool          // after it is on the disk
	Interval time.Duration // else it is on the disk at most so long after; 0 if not known
	Source   string        // what said so; empty: nobody did
	Why      string        // why nobody did, if that is known
}

// Known says whether anybody told.
func (d Durability) Known() bool { return d.Source != "" }

// String is the mode for people.
func (d Durability) String() string {
	switch {
	case !d.Known() && d.Why != "":
		return "unknown: " + d.Why
	case !d.Known():
		return "unknown: a server tells its sync_interval to its system account and on its monitoring port only (see --nats-monitor)"
	case d.Always:
		return "sync_interval always: acknowledged after fsync"
	case d.Interval == 0:
		return "sync_interval default: acknowledged before fsync, the last minutes may be lost with the machine"
	default:
		return fmt.Sprintf("sync_interval %s: acknowledged before fsync, as much may be lost with the machine", d.Interval)
	}
}

// Mode is the mode as metrics name it: "always", "interval" or "unknown".
func (d Durability) Mode() string {
	switch {
	case !d.Known():
		return "unknown"
	case d.Always:
		return "always"
	default:
		return "interval"
	}
}

// weakest is the one of several servers' that promises least, of those that have
// JetStream.
func weakest(servers []Server) Durability {
	var w Durability
	for _, s := range servers {
		if s.JetStream == nil {
			continue
		}
		d := Durability{Always: s.JetStream.SyncAlways, Interval: s.JetStream.SyncInterval, Source: s.Source}
		if !w.Known() || w.Always && !d.Always || !w.Always && !d.Always && d.Interval > w.Interval {
			w = d
		}
	}
	return w
}

// FindDurability asks in which mode the server that nc is connected to runs: a
// running `annals dev` whose server it is, or else FindServers, of which the
// weakest mode counts. Where nobody tells, the answer is not Known; it fails only
// on a monitoring port that was given and does not answer.
func (c Config) FindDurability(ctx context.Context, nc *nats.Conn, monitors []string) (Durability, error) {
	servers, err := FindServers(ctx, nc, monitors, time.Now)
	if err != nil {
		return Durability{}, err
	}
	return c.DurabilityOf(nc, servers), nil
}

// DurabilityOf is FindDurability for servers that have been found. It asks nobody.
func (c Config) DurabilityOf(nc *nats.Conn, servers []Server) Durability {
	if d := weakest(servers); d.Known() {
		return d
	}
	running, err := c.Running()
	if err == nil && running != nil && running.NATSServer == nc.ConnectedServerId() {
		return Durability{Always: running.SyncAlways, Source: fmt.Sprintf("annals dev, process %d", running.PID)}
	}
	return Durability{}
}
