package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/projection/postgres"
)

func projectionStatusCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "How far the tables are, and who works on what",
		Long: `Shows for each partition of the log how far the tables have come with it, and which process has its lease;
and the processes that share the work. Lag is in commits, and in the age of the oldest of them, by the clock of the
log's server. Where the log cannot be reached they are left out, and that is said. With --projection, the tables are
those of a projection of your own.

With -o jsonl a line is a partition.`,
		Example: `  annals projection status
  annals projection status -o json`,
		Args: cobra.NoArgs,
	}
	var wait time.Duration
	name := projectionFlag(c.Flags())
	c.Flags().DurationVar(&wait, "wait", 5*time.Second, "how long to wait for the log before its part is left out")
	o := outputFlag(c, formatTable, formatJSON, formatJSONL)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := checkWait(wait); err != nil {
			return err
		}
		s, err := a.projectionStatus(c.Context(), *name, wait)
		if err != nil {
			return err
		}
		if s.Log.Reason != "" {
			fmt.Fprintf(a.err, "The log could not be asked, so its ends and the lag are not known: %s\n", s.Log.Reason)
		}
		switch {
		case o.is(formatJSON):
			return printJSON(a.out, s)
		case o.is(formatJSONL):
			for _, p := range s.Partitions {
				if err := printLine(a.out, p); err != nil {
					return err
				}
			}
			return nil
		default:
			return s.print(a.out)
		}
	}
	return c
}

// projectionStatus is `projection status -o json`. What is not known is null.
type projectionStatus struct {
	Projection string            `json:"projection"`
	Version    int               `json:"version"`
	Log        logReached        `json:"log"`
	Partitions []partitionStatus `json:"partitions"`
	Heartbeats heartbeatStanding `json:"heartbeats"` // of executions only
	Rebuild    *holderStatus     `json:"rebuild"`    // who makes the tables anew; null: nobody
	Members    []memberStatus    `json:"members"`
	Quarantine quarantineList    `json:"quarantine"` // the first of it
}

type logReached struct {
	LogID   string `json:"logId"`
	Epoch   uint32 `json:"epoch"`
	Reached bool   `json:"reached"`
	Reason  string `json:"reason"` // why not
}

type partitionStatus struct {
	Partition      int           `json:"partition"`
	Generation     int           `json:"generation"`
	Checkpoint     uint64        `json:"checkpoint"`
	CheckpointTime *time.Time    `json:"checkpointTime"` // when the server stored its commit
	Epoch          int64         `json:"epoch"`
	LogEnd         *uint64       `json:"logEnd"`
	LagCommits     *uint64       `json:"lagCommits"`
	LagSeconds     *float64      `json:"lagSeconds"`
	LagReason      string        `json:"lagReason"` // why the lag is not known
	Holder         *holderStatus `json:"holder"`    // null: nobody
	Phase          string        `json:"phase"`     // as the holder says
	Reason         string        `json:"reason"`    // why it waits or has stopped, as the holder says
}

type heartbeatStanding struct {
	Checkpoint *uint64       `json:"checkpoint"`
	Behind     *uint64       `json:"behind"`    // the most that may be missing
	LagReason  string        `json:"lagReason"` // why both are not known; empty: they are, or the log could not be asked
	Holder     *holderStatus `json:"holder"`
	Phase      string        `json:"phase"`
	Reason     string        `json:"reason"`
}

type holderStatus struct {
	ID               string  `json:"id"`
	Host             string  `json:"host"`
	PID              int     `json:"pid"`
	ExpiresInSeconds float64 `json:"expiresInSeconds"`
}

type memberStatus struct {
	holderStatus
	Since  time.Time `json:"since"`
	Leases []string  `json:"leases"`
}

// projectionStatus asks the tables, and the log for as long as wait.
func (a *app) projectionStatus(ctx context.Context, name string, wait time.Duration) (*projectionStatus, error) {
	books, err := a.books(ctx, name)
	if err != nil {
		return nil, err
	}
	s := &projectionStatus{Projection: name, Version: books.Version(), Partitions: []partitionStatus{}, Members: []memberStatus{}}
	logCtx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var checkpoints []projection.Checkpoint
	read := func(context.Context) (_ []projection.Checkpoint, err error) {
		checkpoints, err = books.Checkpoints(ctx)
		return checkpoints, err
	}
	var lags projection.Lags
	log, err := a.open(logCtx)
	if err == nil {
		s.Log.LogID, s.Log.Epoch = log.Identity().LogID, log.Identity().Epoch
		lags, err = projection.LagOf(logCtx, log, read)
	}
	if s.Log.Reached = err == nil; err != nil {
		s.Log.Reason = err.Error()
		if _, err := read(ctx); err != nil {
			return nil, err
		}
	}
	for _, c := range checkpoints {
		s.reached(c)
	}
	for _, l := range lags {
		s.partition(int(l.Partition)).lag(l)
	}
	sharing, err := books.Sharing(ctx)
	if err != nil {
		return nil, err
	}
	s.share(sharing)
	page, err := books.Quarantined(ctx, postgres.QuarantineQuery{Limit: quarantineShown})
	if err != nil {
		return nil, err
	}
	s.Quarantine = quarantineListOf(page)
	if s.Log.Reached && s.heartbeats() {
		store, err := a.tables(ctx)
		if err != nil {
			return nil, err
		}
		if c, behind, err := store.HeartbeatLag(logCtx, log); err == nil {
			s.Heartbeats.Checkpoint, s.Heartbeats.Behind = &c.Sequence, &behind
		} else {
			s.Heartbeats.LagReason = err.Error()
		}
	}
	return s, nil
}

// heartbeats reports whether the projection keeps them: only Annals' own does.
func (s *projectionStatus) heartbeats() bool { return s.Projection == pgstore.Name }

// flag is what names the projection on a command line.
func (s *projectionStatus) flag() string {
	if s.Projection == pgstore.Name {
		return ""
	}
	return " --projection " + s.Projection
}

// partition is the place of one, which is made if it is not there.
func (s *projectionStatus) partition(n int) *partitionStatus {
	for len(s.Partitions) <= n {
		s.Partitions = append(s.Partitions, partitionStatus{Partition: len(s.Partitions)})
	}
	return &s.Partitions[n]
}

func (s *projectionStatus) reached(c projection.Checkpoint) {
	p := s.partition(int(c.Partition))
	p.Generation, p.Checkpoint, p.Epoch = c.Generation, c.Sequence, c.Epoch
	if !c.Time.IsZero() {
		p.CheckpointTime = &c.Time
	}
}

// lag is what lies between the checkpoint and the end, as far as that can be told.
func (p *partitionStatus) lag(l projection.Lag) {
	if l.Err != nil {
		p.LagReason = l.Err.Error()
	}
	if l.Err == nil || l.End > 0 {
		p.LogEnd = &l.End
	}
	if l.Err == nil || l.Commits > 0 {
		p.LagCommits = &l.Commits
	}
	if l.Err == nil {
		age := roundSeconds(l.Age)
		p.LagSeconds = &age
	}
}

func roundSeconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

func (s *projectionStatus) share(sharing projection.Sharing) {
	held := map[string][]string{}
	for _, l := range sharing.Leases {
		if l.Left <= 0 {
			continue
		}
		h := holderOf(l.Holder, l.Left)
		held[h.ID] = append(held[h.ID], l.Name)
		n, ok := projection.LeasedPartition(l.Name)
		switch {
		case ok:
			p := s.partition(int(n))
			p.Holder, p.Phase, p.Reason = h, string(l.Phase), l.Reason
		case l.Name == projection.HeartbeatsLease:
			s.Heartbeats.Holder, s.Heartbeats.Phase, s.Heartbeats.Reason = h, string(l.Phase), l.Reason
		case l.Name == projection.RebuildLease:
			s.Rebuild = h
		}
	}
	for _, m := range sharing.Members {
		leases := held[m.ID]
		if leases == nil {
			leases = []string{}
		}
		s.Members = append(s.Members, memberStatus{*holderOf(m, m.Left), m.Since.UTC(), leases})
	}
}

func holderOf(m projection.Member, left time.Duration) *holderStatus {
	return &holderStatus{ID: m.ID, Host: m.Host, PID: m.PID, ExpiresInSeconds: roundSeconds(left)}
}

func (h *holderStatus) String() string {
	if h == nil {
		return ""
	}
	return h.ID
}

func (s *projectionStatus) print(w io.Writer) error {
	t := newTable(w, "partition", "generation", "checkpoint", "log end", "lag", "lag in time", "epoch", "holder", "expires in", "phase")
	var why []string
	for _, p := range s.Partitions {
		t.row(p.Partition, p.Generation, p.Checkpoint, known(p.LogEnd), known(p.LagCommits), seconds(p.LagSeconds), p.Epoch, p.Holder, expiry(p.Holder), p.Phase)
		for _, reason := range []string{p.LagReason, p.Reason} {
			if reason != "" {
				why = append(why, fmt.Sprintf("partition %d: %s", p.Partition, reason))
			}
		}
	}
	h := s.Heartbeats
	if s.heartbeats() {
		t.row("heartbeats", "", known(h.Checkpoint), "", known(h.Behind), "", "", h.Holder, expiry(h.Holder), h.Phase)
	}
	for _, reason := range []string{h.LagReason, h.Reason} {
		if reason != "" {
			why = append(why, "heartbeats: "+reason)
		}
	}
	if s.Rebuild != nil {
		t.row("rebuild", "", "", "", "", "", "", s.Rebuild, expiry(s.Rebuild), "")
	}
	if err := t.flush(); err != nil {
		return err
	}
	if n := s.Quarantine.Total; n > 0 {
		why = append(why, fmt.Sprintf("%s quarantined: annals projection quarantine%s says why", plural(n, "subject"), s.flag()))
	}
	for _, line := range why {
		if _, err := fmt.Fprintln(w, cell(line)); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if len(s.Members) == 0 {
		_, err := fmt.Fprintln(w, "no process works on the tables")
		return err
	}
	m := newTable(w, "member", "host", "pid", "since", "leases", "which")
	for _, x := range s.Members {
		m.row(x.ID, x.Host, x.PID, x.Since, len(x.Leases), strings.Join(x.Leases, " "))
	}
	return m.flush()
}

func known(n *uint64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatUint(*n, 10)
}

func seconds(s *float64) string {
	if s == nil {
		return ""
	}
	return time.Duration(*s * float64(time.Second)).Round(time.Millisecond).String()
}

func expiry(h *holderStatus) string {
	if h == nil {
		return ""
	}
	return seconds(&h.ExpiresInSeconds)
}
