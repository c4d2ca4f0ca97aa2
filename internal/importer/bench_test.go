package importer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/annals-io/annals/internal/importer"
	"github.com/annals-io/annals/pkg/events/eventjson"
	"github.com/annals-io/annals/pkg/events/memlog"
)

// BenchmarkImport is the import of 200 files of 50 events into memory: what it
// costs apart from the log.
func BenchmarkImport(b *testing.B) {
	const files, events = 200, 50
	dir := b.TempDir()
	for i := range files {
		name := fmt.Sprintf("w%d", i)
		text, err := eventjson.Encode(open(name, "A", noon, events))
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), text, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		log, err := memlog.New(memlog.Config{Streams: 4})
		if err != nil {
			b.Fatal(err)
		}
		s, err := importer.Run(b.Context(), log, []string{dir}, importer.Config{Namespace: "default"})
		if err != nil || s.Imported != files {
			b.Fatalf("%+v, %v", s, err)
		}
	}
	b.ReportMetric(float64(files*events*b.N)/b.Elapsed().Seconds(), "events/s")
}
