package wiring

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Server is what a NATS server says about itself.
type Server struct {
	ID, Name, Version string
	MaxPayload        int64
	Clock             Skew
	JetStream         *ServerStore // nil: it has none
	Source            string       // what said so
}

// ServerStore is what a server keeps streams in.
type ServerStore struct {
	SyncAlways   bool
	SyncInterval time.Duration // 0 if it does not say
	Used, Max    int64         // bytes of file streams
}

// patience is how long a server's description is waited for.
const patience = 2 * time.Second

// FindServers has servers describe themselves: by the monitoring ports that are
// given (base URLs, e.g. http://127.0.0.1:8222), or else by the system account, if
// the account of nc can reach it; then all that are connected to each other answer.
// Where nobody tells there are none; it fails only on a monitoring port that was
// given and does not answer. Their clocks are compared with now.
func FindServers(ctx context.Context, nc *nats.Conn, monitors []string, now func() time.Time) ([]Server, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if len(monitors) == 0 {
		return askSystemAccount(ctx, nc, now), nil
	}
	var all []Server
	for _, m := range monitors {
		s, err := askMonitor(ctx, m, now)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func askMonitor(ctx context.Context, base string, now func() time.Time) (Server, error) {
	const page = "/varz"
	before := now()
	text, err := fetchMonitor(ctx, base, page)
	if err != nil {
		return Server{}, err
	}
	return parseVarz(text, monitorURL(base, page), before, now())
}

func monitorURL(base, page string) string { return strings.TrimSuffix(base, "/") + page }

// fetchMonitor gets a page of a monitoring port.
func fetchMonitor(ctx context.Context, base, page string) ([]byte, error) {
	if !strings.HasPrefix(base, "http://") && !strings.HasPrefix(base, "https://") {
		return nil, fmt.Errorf("monitoring port: %q is no URL such as http://127.0.0.1:8222", base)
	}
	url := monitorURL(base, page)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("monitoring port: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("monitoring port: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("monitoring port: %s: %s", url, answer.Status)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxPage))
	if err != nil {
		return nil, fmt.Errorf("monitoring port: %s: %w", url, err)
	}
	return text, nil
}

// maxPage is more than a page of a monitoring port has, in bytes.
const maxPage = 64 << 20

// askSystemAccount asks every server. Without a right to it, nobody responds.
func askSystemAccount(ctx context.Context, nc *nats.Conn, now func() time.Time) []Server {
	const subject = "$SYS.REQ.SERVER.PING.VARZ"
	var all []Server
	before := now()
	for data := range pingServers(ctx, nc, subject, "") {
		if s, err := parseVarz(data, subject, before, now()); err == nil {
			all = append(all, s)
		}
	}
	return all
}

// pingServers puts a question to the system account, and gives the answers as they
// come: of each server that is connected, if this account may ask.
func pingServers(ctx context.Context, nc *nats.Conn, subject, question string) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		inbox := nc.NewInbox()
		answers, err := nc.SubscribeSync(inbox)
		if err != nil {
			return
		}
		defer func() { _ = answers.Unsubscribe() }()
		if err := nc.PublishRequest(subject, inbox, []byte(question)); err != nil {
			return
		}
		for wait := patience; ; wait = 250 * time.Millisecond { // after the first, the others are near
			attempt, cancel := context.WithTimeout(ctx, wait)
			m, err := answers.NextMsgWithContext(attempt)
			cancel()
			if err != nil || m.Header.Get("Status") != "" { // no responders
				return
			}
			var answer struct {
				Data json.RawMessage `json:"data"`
			}
			if json.Unmarshal(m.Data, &answer) == nil && !yield(answer.Data) {
				return
			}
		}
	}
}

// parseVarz reads what a server says about itself (server/monitor.go, Varz),
// between two readings of this machine's clock.
func parseVarz(text []byte, source string, before, after time.Time) (Server, error) {
	var v struct {
		ID         string    `json:"server_id"`
		Name       string    `json:"server_name"`
		Version    string    `json:"version"`
		MaxPayload int64     `json:"max_payload"`
		Now        time.Time `json:"now"`
		JetStream  struct {
			Config *struct {
				MaxStore     int64         `json:"max_storage"`
				SyncInterval time.Duration `json:"sync_interval"`
				SyncAlways   bool          `json:"sync_always"`
			} `json:"config"`
			Stats struct {
				Store int64 `json:"storage"`
			} `json:"stats"`
		} `json:"jetstream"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return Server{}, fmt.Errorf("%s: %w", source, err)
	}
	s := Server{ID: v.ID, Name: v.Name, Version: v.Version, MaxPayload: v.MaxPayload, Clock: SkewOf(before, v.Now, after), Source: source}
	if c := v.JetStream.Config; c != nil {
		s.JetStream = &ServerStore{SyncAlways: c.SyncAlways, SyncInterval: c.SyncInterval, Used: v.JetStream.Stats.Store, Max: c.MaxStore}
	}
	return s, nil
}
