package ingest_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-io/annals/internal/ingest"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/historytest"
	"github.com/annals-io/annals/internal/testenv/pgtables"
	"github.com/annals-io/annals/pkg/events/memlog"
	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// What annals.event_json shows of a run, where tables are made with --events=full, are the events that GetHistory
// gives of it as JSON.
func TestTheTablesShowEventsAsTheAPIDoes(t *testing.T) {
	t.Parallel()
	log := newMemlog(t, memlog.Config{})
	pool, err := pgxpool.New(t.Context(), testenv.Postgres(t, pgtables.In(pgstore.EventsFull)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	tables := newTables(t, pool)
	project(t, log, tables)
	service := serve(t, ingest.Config{Log: log, Tables: tables})
	if err := historytest.New(historytest.Options{Tame: true, Workflows: 5}).AppendAll(t.Context(), log, historytest.Seeded(12, 60)); err != nil {
		t.Fatal(err)
	}
	if _, err := historytest.Real(t.Context(), log, "../..", rand.New(rand.NewPCG(12, 1))); err != nil {
		t.Fatal(err)
	}
	service.post(t, "QueryService/CountExecutions", `{"waitFor": "now", "waitTimeout": "60s"}`).ok(t)
	rows, err := pool.Query(t.Context(), `SELECT namespace, workflow_id, run_id, jsonb_agg(event ORDER BY event_id)::text FROM annals.event_json GROUP BY 1, 2, 3`)
	if err != nil {
		t.Fatal(err)
	}
	type shown struct{ Namespace, Workflow, Run, Events string }
	runs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[shown])
	if err != nil {
		t.Fatal(err)
	}
	events := 0
	for _, r := range runs {
		var got []any
		if err := json.Unmarshal([]byte(r.Events), &got); err != nil {
			t.Fatal(err)
		}
		var want []any
		for token := ""; ; {
			page := service.post(t, "LogService/GetHistory", fmt.Sprintf(`{"workflow": {"namespace": %q, "workflowId": %q}, "runId": %q, "pageToken": %q}`, r.Namespace, r.Workflow, r.Run, token)).ok(t)
			want = append(want, page["events"].([]any)...)
			if token, _ = page["nextPageToken"].(string); token == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("run %s of %s by the API (-) and in the tables (+):\n%s", r.Run, r.Workflow, diff)
		}
		events += len(got)
	}
	if len(runs) < 5 || events < 100 {
		t.Errorf("%d events of %d runs prove little", events, len(runs))
	}
}
