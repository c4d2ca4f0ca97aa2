package temporal

import (
	"context"
	"fmt"
	"testing"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.temporal.io/server/temporaltest"
	"golang.org/x/sync/errgroup"

	"github.com/annals-io/annals/internal/importer"
	reader "github.com/annals-io/annals/internal/temporal"
	"github.com/annals-io/annals/internal/testenv"
)

// BenchmarkImportFromAServer imports the runs of a real server, beside a loop that
// fetches the same histories, as many at the same moment, and drops them.
func BenchmarkImportFromAServer(b *testing.B) {
	for _, size := range []struct{ runs, markers int }{{1000, 10}, {20, 2000}} {
		b.Run(fmt.Sprintf("runs=%d/markers=%d", size.runs, size.markers), func(b *testing.B) {
			ts := temporaltest.NewServer(serverOptions(b, unlimited)...)
			b.Cleanup(ts.Stop)
			s := server{Client: ts.GetDefaultClient(), namespace: ts.GetDefaultNamespace(), address: ts.GetFrontendHostPort()}
			ts.NewWorker(queue, func(r worker.Registry) {
				r.RegisterWorkflowWithOptions(marks, workflow.RegisterOptions{Name: "Marks"})
			})
			sideBySide(b, size.runs, func(ctx context.Context, i int) error {
				r, err := s.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: fmt.Sprint("w-", i), TaskQueue: queue}, "Marks", size.markers)
				if err != nil {
					return err
				}
				return r.Get(ctx, nil)
			})
			from, err := reader.Dial(reader.Config{Address: s.address, Namespace: s.namespace})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = from.Close() })
			b.Run("raw", func(b *testing.B) {
				n := 0
				for b.Loop() {
					n += fetched(b, from)
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
			})
			b.Run("import", func(b *testing.B) {
				n := 0
				for b.Loop() {
					b.StopTimer()
					log := newLogOn(b.Context(), b, testenv.NATS(b))
					b.StartTimer()
					sum, err := importer.RunServer(b.Context(), log, from, "", importer.Config{Namespace: "default"})
					if err != nil || sum.Refused > 0 || sum.Imported < size.runs {
						b.Fatalf("%+v, %v", sum, err)
					}
					n += sum.Events
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
			})
		})
	}
}

// marks records markers, many at once: how to have long histories soon.
func marks(ctx workflow.Context, n int) error {
	for i := range n {
		workflow.SideEffect(ctx, func(workflow.Context) any { return i })
	}
	return nil
}

// fetched fetches all histories and says how many events they have.
func fetched(b *testing.B, from *reader.Server) int {
	b.Helper()
	counts := make(chan int, 1)
	counts <- 0
	g, ctx := errgroup.WithContext(b.Context())
	g.SetLimit(32)
	for r, err := range from.List(ctx, "") {
		if err != nil {
			b.Fatal(err)
		}
		g.Go(func() error {
			for token := []byte(nil); ; {
				page, err := from.History(ctx, reader.Request{Workflow: r.Workflow, Run: r.ID, Token: token})
				if err != nil {
					return err
				}
				counts <- <-counts + len(page.Events)
				if token = page.Next; len(token) == 0 {
					return nil
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	return <-counts
}
