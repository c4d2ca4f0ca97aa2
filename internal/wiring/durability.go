package wiring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Durability is when a server acknowledges what it stores.
type Durability struct {
	Always   bool          // after it is on the disk
	Interval time.Duration // else it is on the disk at most so long after; 0 if not known
	Source   string        // what said so; empty: nobody did
}

// Known says whether anybody told.
func (d Durability) Known() bool { return d.Source != "" }

// String is the mode for people.
func (d Durability) String() string {
	switch {
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

// weakest is the one of several servers that promises least.
func weakest(all []Durability) Durability {
	var w Durability
	for i, d := range all {
		if i == 0 || w.Always && !d.Always || !w.Always && !d.Always && d.Interval > w.Interval {
			w = d
		}
	}
	return w
}

// patience is how long a server's description is waited for.
const patience = 2 * time.Second

// FindDurability asks in which mode the server that nc is connected to runs:
// the monitoring ports that are given (base URLs, e.g. http://127.0.0.1:8222),
// then a running `annals dev` whose server it is, then the system account, if
// this connection's account can reach it. Of several servers the weakest mode
// counts. Where nobody tells, the answer is not Known; it fails only on a
// monitoring port that was given and does not answer.
func (c Config) FindDurability(ctx context.Context, nc *nats.Conn, monitors []string) (Durability, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if len(monitors) > 0 {
		var all []Durability
		for _, m := range monitors {
			d, err := askMonitor(ctx, m)
			if err != nil {
				return Durability{}, err
			}
			all = append(all, d)
		}
		return weakest(all), nil
	}
	running, err := c.Running()
	if err == nil && running != nil && running.NATSServer == nc.ConnectedServerId() {
		return Durability{Always: running.SyncAlways, Source: fmt.Sprintf("annals dev, process %d", running.PID)}, nil
	}
	return weakest(askSystemAccount(ctx, nc)), nil
}

func askMonitor(ctx context.Context, base string) (Durability, error) {
	url := strings.TrimSuffix(base, "/") + "/varz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Durability{}, fmt.Errorf("monitoring port: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return Durability{}, fmt.Errorf("monitoring port: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return Durability{}, fmt.Errorf("monitoring port: %s: %s", url, answer.Status)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return Durability{}, fmt.Errorf("monitoring port: %s: %w", url, err)
	}
	return parseVarz(text, url)
}

// askSystemAccount asks every server. Without a right to it, nobody responds.
func askSystemAccount(ctx context.Context, nc *nats.Conn) []Durability {
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil
	}
	defer func() { _ = answers.Unsubscribe() }()
	const subject = "$SYS.REQ.SERVER.PING.VARZ"
	if err := nc.PublishRequest(subject, inbox, nil); err != nil {
		return nil
	}
	var all []Durability
	for wait := patience; ; wait = 250 * time.Millisecond { // after the first, the others are near
		attempt, cancel := context.WithTimeout(ctx, wait)
		m, err := answers.NextMsgWithContext(attempt)
		cancel()
		if err != nil || m.Header.Get("Status") != "" { // no responders
			return all
		}
		var answer struct {
			Data json.RawMessage `json:"data"`
		}
		if json.Unmarshal(m.Data, &answer) != nil {
			continue
		}
		if d, err := parseVarz(answer.Data, subject); err == nil {
			all = append(all, d)
		}
	}
}

// errNoJetStream: the server describes itself and has no JetStream.
var errNoJetStream = errors.New("says nothing of JetStream")

// parseVarz reads what a server says about itself (server/monitor.go, Varz).
func parseVarz(text []byte, source string) (Durability, error) {
	var v struct {
		JetStream struct {
			Config *struct {
				SyncInterval time.Duration `json:"sync_interval"`
				SyncAlways   bool          `json:"sync_always"`
			} `json:"config"`
		} `json:"jetstream"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return Durability{}, fmt.Errorf("%s: %w", source, err)
	}
	c := v.JetStream.Config
	if c == nil {
		return Durability{}, fmt.Errorf("%s: %w", source, errNoJetStream)
	}
	return Durability{Always: c.SyncAlways, Interval: c.SyncInterval, Source: source}, nil
}
