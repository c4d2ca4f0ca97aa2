package workflows

import (
	"context"
	"fmt"
	"time"

	"github.com/annals-io/annals/internal/demo/engine"
)

// BatchRequest is a supplier's delivery of catalog files.
type BatchRequest struct {
	Supplier string `json:"supplier"`
	Files    int    `json:"files"`
}

// BatchReport is what has become of the files.
type BatchReport struct {
	Imported int    `json:"imported"` // files
	Failed   int    `json:"failed"`
	Rows     int    `json:"rows"`
	Report   string `json:"report"` // its reference
}

// Batch imports the files of a delivery, each in a child workflow of its own.
var Batch = engine.Workflow[BatchRequest, BatchReport]{Name: "Batch", Run: batch}

func batch(ctx *engine.Context, b BatchRequest) (BatchReport, error) {
	engine.SetSearchAttributes(ctx, map[string]any{"Supplier": b.Supplier})

	files, err := engine.ExecuteActivity(ctx, ListFiles, b).Get(ctx)
	if err != nil {
		return BatchReport{}, err
	}
	imports := make([]*engine.Future[Imported], len(files))
	for i, file := range files {
		imports[i] = engine.ExecuteChildWorkflow(ctx, ImportFile, ctx.Workflow().ID+"/"+file, FileRequest{Supplier: b.Supplier, File: file})
	}
	var report BatchReport
	for _, one := range imports {
		imported, err := one.Get(ctx)
		if err != nil {
			report.Failed++
			continue
		}
		report.Imported++
		report.Rows += imported.Rows
	}
	if report.Failed > len(files)/2 {
		return BatchReport{}, TooManyFailures{Failed: report.Failed, Of: len(files)}
	}
	report.Report, err = engine.ExecuteActivity(ctx, SendReport, report).Get(ctx)
	return report, err
}

// FileRequest names a file.
type FileRequest struct {
	Supplier string `json:"supplier"`
	File     string `json:"file"`
}

// Imported is what was in a file.
type Imported struct {
	Rows   int    `json:"rows"`
	Digest string `json:"digest"`
}

// ImportFile takes over one file.
var ImportFile = engine.Workflow[FileRequest, Imported]{Name: "ImportFile", Run: importFile}

func importFile(ctx *engine.Context, f FileRequest) (Imported, error) {
	digest, err := engine.ExecuteActivity(ctx, FetchFile, f).Get(ctx)
	if err != nil {
		return Imported{}, err
	}
	rows, err := engine.ExecuteActivity(ctx, LoadRows, f).Get(ctx)
	if err != nil {
		return Imported{}, err
	}
	engine.SetSearchAttributes(ctx, map[string]any{AttributeImportedRows: rows})
	return Imported{Rows: rows, Digest: digest}, nil
}

// ListFiles asks the supplier what there is.
var ListFiles = engine.Activity[BatchRequest, []string]{
	Name: "ListFiles",
	Run: func(ctx context.Context, b BatchRequest) ([]string, error) {
		files := make([]string, b.Files)
		for i := range files {
			files[i] = fmt.Sprintf("catalog-%02d.csv", i+1)
		}
		return files, work(ctx, 200*time.Millisecond)
	},
}

// FetchFile copies a file from the supplier.
var FetchFile = engine.Activity[FileRequest, string]{
	Name:  "FetchFile",
	Retry: engine.Retry{Final: []string{"CorruptFile"}},
	Run: func(ctx context.Context, f FileRequest) (string, error) {
		a := engine.AttemptOf(ctx)
		if err := work(ctx, 300*time.Millisecond); err != nil {
			return "", err
		}
		if chance(8, "corrupt", f.Supplier, f.File) || chance(7, "careless", f.Supplier) && chance(80, "corrupt", f.File) {
			return "", CorruptFile{File: f.File, Line: 1 + int(dice(f)%900)}
		}
		return reference("SHA", a), nil
	},
}

// LoadRows writes the rows of a file into the catalog, part by part. It is the
// long one: an attempt after a crash goes on with the part that the one before
// had come to.
var LoadRows = engine.Activity[FileRequest, int]{
	Name:         "LoadRows",
	StartToClose: 30 * time.Second,
	Heartbeat:    5 * time.Second,
	Run: func(ctx context.Context, f FileRequest) (int, error) {
		const parts = 5
		done, _, err := engine.Progress[int](ctx)
		if err != nil {
			return 0, err
		}
		for ; done < parts; done++ {
			if err := work(ctx, 250*time.Millisecond); err != nil {
				return 0, err
			}
			if err := engine.RecordHeartbeat(ctx, done+1); err != nil {
				return 0, err
			}
		}
		return parts * 100 * (1 + int(dice(f)%9)), nil
	},
}

// SendReport tells the supplier what was taken over.
var SendReport = engine.Activity[BatchReport, string]{
	Name: "SendReport",
	Run: func(ctx context.Context, _ BatchReport) (string, error) {
		return reference("RPT", engine.AttemptOf(ctx)), work(ctx, 150*time.Millisecond)
	},
}
