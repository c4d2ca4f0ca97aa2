package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/pkg/projection"
)

// Bury has the members that are dead leave, of every projection of the database: what
// they hold is free at once, and not only when it expires. It returns how many there
// were. dead MUST be right about who is: a member that lives loses its leases, and has
// to take its share anew. What is in the tables is safe either way, since whoever takes
// a partition's lease raises the epoch of its checkpoint.
func Bury(ctx context.Context, pool *pgxpool.Pool, dead func(projection.Member) bool) (buried int, err error) {
	rows, err := pool.Query(ctx, projectionsSQL)
	if err != nil {
		return 0, err
	}
	names, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (name string, err error) {
		return name, row.Scan(&name, nil)
	})
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		s, err := sharing(ctx, pool, name)
		if err != nil {
			return buried, err
		}
		members := map[string]projection.Member{}
		for _, m := range s.Members {
			members[m.ID] = m
		}
		for _, l := range s.Leases {
			if l.Left > 0 {
				members[l.Holder.ID] = l.Holder
			}
		}
		for id, m := range members {
			if !dead(m) {
				continue
			}
			var q pgx.Batch
			queueLeaving(&q, name, id)
			if err := pool.SendBatch(ctx, &q).Close(); err != nil {
				return buried, err
			}
			buried++
		}
	}
	return buried, nil
}

// DiedHere reports whether a member is dead for certain: it ran on this machine since
// it was started, where numbers of processes are the same, and there is no process of
// its number now. Of all others nobody can know; nor, where the number was given to
// another process. It tells on Linux only.
func DiedHere(m projection.Member) bool {
	here := machine()
	return here != "" && m.PID > 0 && strings.HasPrefix(m.ID, here+"-") && gone(m.PID)
}

// queueLeaving releases all that a member holds, and forgets it.
func queueLeaving(q *pgx.Batch, projection, id string) {
	q.Queue(leaseReleaseSQL, projection, id, nil)
	q.Queue(membersForgetSQL, projection, id)
}
