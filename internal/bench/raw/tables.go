package raw

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/jackc/pgx/v5"
)

// File is rows of a table in COPY's binary format.
type File struct{ Table, Path string }

// Dump writes the rows of a query to a file.
func Dump(ctx context.Context, url, query, path string) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := conn.PgConn().CopyTo(ctx, f, "COPY ("+query+") TO STDOUT (FORMAT binary)"); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// Load copies files into tables and then makes indexes of them. Each list of
// files is copied on a connection of its own, all at the same time, and the
// indexes are made on as many.
func Load(ctx context.Context, url, schema string, files [][]File, indexes []string) error {
	work := make(chan string, len(indexes))
	for _, sql := range indexes {
		work <- sql
	}
	close(work)
	var copied, done sync.WaitGroup
	errs := make([]error, len(files))
	copied.Add(len(files))
	for i, list := range files {
		done.Go(func() {
			conn, err := connect(ctx, url, schema)
			if err == nil {
				defer conn.Close(ctx)
				err = copyAll(ctx, conn, list)
			}
			copied.Done()
			copied.Wait()
			for sql := range work {
				if err != nil {
					break
				}
				_, err = conn.Exec(ctx, sql)
			}
			errs[i] = err
		})
	}
	done.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func connect(ctx context.Context, url, schema string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	for _, sql := range []string{"SET search_path = " + schema, "SET maintenance_work_mem = '256MB'"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			conn.Close(ctx)
			return nil, err
		}
	}
	return conn, nil
}

func copyAll(ctx context.Context, conn *pgx.Conn, files []File) error {
	for _, file := range files {
		f, err := os.Open(file.Path)
		if err != nil {
			return err
		}
		_, err = conn.PgConn().CopyFrom(ctx, f, "COPY "+file.Table+" FROM STDIN (FORMAT binary)")
		f.Close()
		if err != nil {
			return fmt.Errorf("copy into %s: %w", file.Table, err)
		}
	}
	return nil
}
