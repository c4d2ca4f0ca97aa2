package pgstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-io/annals/pkg/events"
)

var (
	//go:embed sql/heartbeat_rows.sql
	heartbeatRowsSQL string
	//go:embed sql/heartbeat_places.sql
	heartbeatPlacesSQL string
)

// heartbeatTable is the name of the table in a report.
const heartbeatTable = "activity_heartbeats"

// compareTogether is how many heartbeats are compared by one query.
const compareTogether = 500

// lastHeartbeat is the sequence of the last heartbeat that is to be verified, 0 if
// there is none.
func (v *verifying) lastHeartbeat(ctx context.Context) (last uint64, err error) {
	b, err := v.log.HeartbeatBounds(ctx)
	v.firstHeartbeat = b.First
	if err != nil || b.First > b.Last {
		return 0, err
	}
	if v.o.Workflow == nil {
		return b.Last, nil
	}
	_, err = v.eachHeartbeat(ctx, b.Last, func(h events.StoredHeartbeat, foreign error) error {
		if foreign == nil {
			last = h.Sequence
		}
		return nil
	})
	return last, err
}

// heartbeats compares the heartbeats that the log has with the rows of the
// snapshot: what was stored up to its checkpoint, and is there still, was not
// replaced before.
func (v *verifying) heartbeats(ctx context.Context, end uint64) error {
	id := v.log.Identity()
	reached, err := heartbeatCheckpoint(ctx, v.tx, id)
	if err != nil {
		return err
	}
	if reached < end {
		v.differs(Difference{Kind: KindLag, Where: fmt.Sprintf("%s: the tables are at %d of the stream of heartbeats, it was at %d", heartbeatTable, reached, end)})
	}
	b, err := v.log.HeartbeatBounds(ctx)
	if err != nil {
		return err
	}
	compared := map[uint64]bool{} // sequences
	if until := min(reached, b.Last); b.First <= until {
		var together []events.StoredHeartbeat
		whole, err := v.eachHeartbeat(ctx, until, func(h events.StoredHeartbeat, foreign error) error {
			if foreign != nil {
				v.differs(Difference{Kind: KindNotFolded, Workflow: h.Activity.Workflow, Where: foreign.Error()})
				return nil
			}
			compared[h.Sequence] = true
			together = append(together, h)
			if len(together) < compareTogether {
				return nil
			}
			err := v.compareHeartbeats(ctx, together)
			together = together[:0]
			return err
		})
		if err != nil {
			return err
		}
		if !whole {
			v.differs(Difference{Kind: KindLag, Where: fmt.Sprintf("%s: the stream of heartbeats ends at %d, and gave nothing more before that: the rest was not compared", heartbeatTable, b.Last)})
		}
		if err := v.compareHeartbeats(ctx, together); err != nil {
			return err
		}
	}
	return v.extraHeartbeats(ctx, compared)
}

// errHeartbeatsEnd ends a scan in which nothing more can come.
var errHeartbeatsEnd = errors.New("no more heartbeats")

// scanPatience is how long a scan of heartbeats waits for more of what should be
// there, while the log can be reached.
const scanPatience = 3 * time.Second

// eachHeartbeat calls f for the heartbeats that are to be verified up to a
// sequence, which the stream had, and for messages that are none. It reports
// whether that sequence was reached.
func (v *verifying) eachHeartbeat(ctx context.Context, until uint64, f func(h events.StoredHeartbeat, foreign error) error) (whole bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var seen atomic.Uint64
	watched := make(chan bool, 1)
	go func() { watched <- v.watchScan(ctx, until, &seen, cancel) }()
	err = v.scanHeartbeats(ctx, until, &seen, f)
	cancel(nil)
	aged := <-watched
	if errors.Is(err, errHeartbeatsEnd) {
		return aged, nil
	}
	return err == nil, err
}

func (v *verifying) scanHeartbeats(ctx context.Context, until uint64, seen *atomic.Uint64, f func(events.StoredHeartbeat, error) error) error {
	for h, err := range v.log.FollowHeartbeats(ctx, 0) {
		var foreign *events.CorruptHeartbeatError
		if errors.As(err, &foreign) {
			h.Activity.Workflow = foreign.Workflow
		} else if err != nil {
			return err
		}
		if one := v.o.Workflow; h.Sequence <= until && (one == nil || *one == h.Activity.Workflow) {
			if err := f(h, err); err != nil {
				return err
			}
		}
		seen.Store(h.Sequence)
		if h.Sequence >= until {
			return nil
		}
	}
	return errors.New("following the heartbeats ended")
}

// watchScan ends a scan whose last heartbeats have aged out meanwhile, which it
// reports, or that are not there although the stream counts them.
func (v *verifying) watchScan(ctx context.Context, until uint64, seen *atomic.Uint64, end context.CancelCauseFunc) (aged bool) {
	tick := time.NewTicker(scanPatience / 10)
	defer tick.Stop()
	at, since := uint64(0), time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
		if now := seen.Load(); now != at {
			at, since = now, time.Now()
			continue
		}
		b, err := v.log.HeartbeatBounds(ctx)
		switch {
		case err != nil:
			since = time.Now()
		case b.First > until:
			end(errHeartbeatsEnd)
			return true
		case time.Since(since) > scanPatience:
			end(errHeartbeatsEnd)
			return false
		}
	}
}

// compareHeartbeats compares heartbeats of the log with their rows.
func (v *verifying) compareHeartbeats(ctx context.Context, kept []events.StoredHeartbeat) error {
	if len(kept) == 0 {
		return nil
	}
	stored, err := v.heartbeatRows(ctx, kept)
	if err != nil {
		return err
	}
	id := v.log.Identity()
	for i := range kept {
		h := &kept[i]
		want, err := heartbeatRowOf(h)
		if err != nil { // the keeper passed it over
			v.heartbeatDiffers(h.Activity, KindNotFolded, ": "+err.Error())
			continue
		}
		want.LogID, want.LogEpoch = id.LogID, int64(id.Epoch)
		got, ok := stored[h.Activity]
		switch {
		case !ok:
			v.heartbeatDiffers(h.Activity, KindMissing, "")
		case newerBefore(&got, &want): // counted with the others that aged out
		default:
			v.report.Rows[heartbeatTable]++
			inLog, err := want.canonical()
			if err != nil {
				v.heartbeatDiffers(h.Activity, KindNotFolded, ": "+err.Error())
				continue
			}
			inTable, err := got.canonical()
			if err != nil {
				v.heartbeatDiffers(h.Activity, KindColumn, ": the row is no heartbeat: "+err.Error())
				continue
			}
			for c, name := range heartbeatColumnNames {
				if inLog[c] != inTable[c] {
					v.heartbeatDiffers(h.Activity, KindColumn, fmt.Sprintf(" column %s: the table has %s, the log says %s", name, shown(inTable[c]), shown(inLog[c])))
				}
			}
		}
	}
	return nil
}

// newerBefore reports whether a row holds a newer heartbeat than the one that the
// log has, which came before that one and has aged out since: else it would have
// kept that one away.
func newerBefore(row, kept *heartbeatRow) bool {
	newer := row.Attempt > kept.Attempt || row.Attempt == kept.Attempt && row.Time.After(kept.Time)
	sameStream := row.LogID == kept.LogID && row.LogEpoch == kept.LogEpoch && row.Sequence != nil
	return newer && row.LogID == kept.LogID && (!sameStream || *row.Sequence < *kept.Sequence)
}

// heartbeatDiffers reports a row; what is said of it may be empty.
func (v *verifying) heartbeatDiffers(a events.Activity, kind, what string) {
	v.differs(Difference{Kind: kind, Workflow: a.Workflow, Run: a.RunID, Where: "annals." + heartbeatTable + " activity_id " + a.ID + what})
}

// heartbeatRows are the rows of the activities that have these heartbeats.
func (v *verifying) heartbeatRows(ctx context.Context, kept []events.StoredHeartbeat) (map[events.Activity]heartbeatRow, error) {
	n := len(kept)
	slots := make([]int16, n)
	namespaces, workflows, runs, activities := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i := range kept {
		a := kept[i].Activity
		slots[i], namespaces[i], workflows[i], runs[i], activities[i] = int16(a.Workflow.Slot()), a.Workflow.Namespace, a.Workflow.ID, string(a.RunID), a.ID
	}
	rows, err := v.tx.Query(ctx, heartbeatRowsSQL, slots, namespaces, workflows, runs, activities)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[heartbeatRow])
	stored := make(map[events.Activity]heartbeatRow, len(list))
	for _, r := range list {
		stored[events.Activity{Workflow: events.Workflow{Namespace: r.Namespace, ID: r.WorkflowID}, RunID: events.RunID(r.RunID), ID: r.ActivityID}] = r
	}
	return stored, err
}

// heartbeatColumnNames are the columns that are compared, in the order of canonical.
var heartbeatColumnNames = []string{"attempt", "time", "details", "last_failure", "failure", "identity", "log_id", "log_epoch", "sequence"}

// canonical is the columns behind the key, each in one form for one value.
func (r *heartbeatRow) canonical() (values []string, err error) {
	texted := func(s *string) string {
		if s == nil {
			return null
		}
		return *s
	}
	jsoned := func(s *string) string {
		if s == nil {
			return null
		}
		out, failed := canonicalJSON(*s)
		err = errors.Join(err, failed)
		return out
	}
	sequence := null
	if r.Sequence != nil {
		sequence = strconv.FormatInt(*r.Sequence, 10)
	}
	return []string{
		strconv.Itoa(int(r.Attempt)), r.Time.UTC().Format(time.RFC3339Nano), jsoned(r.Details), texted(r.LastFailure), jsoned(r.Failure),
		r.Identity, r.LogID, strconv.FormatInt(r.LogEpoch, 10), sequence,
	}, err
}

// extraHeartbeats looks at rows whose heartbeats were not among those of the log.
func (v *verifying) extraHeartbeats(ctx context.Context, compared map[uint64]bool) error {
	var slot *int16
	var namespace, workflow string
	if w := v.o.Workflow; w != nil {
		s := int16(w.Slot())
		slot, namespace, workflow = &s, w.Namespace, w.ID
	}
	rows, err := v.tx.Query(ctx, heartbeatPlacesSQL, slot, namespace, workflow)
	if err != nil {
		return err
	}
	type place struct {
		events.Activity
		sequence uint64
	}
	var odd []place
	id := v.log.Identity()
	for rows.Next() {
		var a place
		var logID string
		var epoch int64
		var sequence *int64
		if err := rows.Scan(&a.Workflow.Namespace, &a.Workflow.ID, &a.RunID, &a.ID, &logID, &epoch, &sequence); err != nil {
			rows.Close()
			return err
		}
		switch {
		case logID == id.LogID && epoch == int64(id.Epoch) && sequence != nil && compared[uint64(*sequence)]:
		case logID == id.LogID && epoch == int64(id.Epoch) && sequence != nil && uint64(*sequence) >= v.firstHeartbeat:
			a.sequence = uint64(*sequence)
			odd = append(odd, a)
		default:
			// The stream had forgotten it when the verification began; had it been
			// replaced before that, the row would hold what replaced it.
			v.report.Forgotten++
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, a := range odd {
		// It was compared if it has another sequence, or it is gone, or replaced
		// since.
		_, err := v.log.LastHeartbeat(ctx, a.Activity)
		switch {
		case errors.Is(err, events.ErrInvalid):
			v.heartbeatDiffers(a.Activity, KindExtra, "")
		case errors.Is(err, events.ErrNotFound):
			b, err := v.log.HeartbeatBounds(ctx)
			if err != nil {
				return err
			}
			if a.sequence >= b.First {
				v.heartbeatDiffers(a.Activity, KindExtra, "")
			} else {
				v.report.Forgotten++
			}
		case err != nil && !errors.Is(err, events.ErrCorrupt):
			return err
		}
	}
	return nil
}
