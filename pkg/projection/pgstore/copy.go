package pgstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// copied is new rows of a table in the binary format of COPY. It is made by the
// goroutine that folds, so that the one that writes has only to send it. pgx
// looks up how to encode each value by its type; rows of events have ten.
type copied struct {
	table *table
	sql   string // COPY into it
	rows  int
	data  []byte
}

// The binary format: https://www.postgresql.org/docs/15/sql-copy.html.
const (
	copyHeader  = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	copyTrailer = "\xff\xff"
)

// postgresEpoch is where its binary timestamps begin to count microseconds.
var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// textOID is the type text in pg_type, where it has always been.
const textOID = 25

func newCopied(t *table, sql string, rows []row) (copied, error) {
	columns := t.all()
	data := make([]byte, 0, len(rows)*16*len(columns))
	data = append(data, copyHeader...)
	for _, r := range rows {
		data = binary.BigEndian.AppendUint16(data, uint16(len(columns)))
		for i, v := range r {
			var err error
			if data, err = appendField(data, columns[i].pgType, v); err != nil {
				return copied{}, fmt.Errorf("%s of %s: %w", columns[i].name, t.name, err)
			}
		}
	}
	return copied{table: t, sql: sql, rows: len(rows), data: append(data, copyTrailer...)}, nil
}

// copiedEvents is newCopied of run_events.
func copiedEvents(sql string, rows []eventRow) copied {
	data := make([]byte, 0, len(rows)*eventRowBytes)
	data = append(data, copyHeader...)
	width := uint16(len(runEventsTable.key) + len(runEventsTable.columns))
	var of *eventsOf
	var slot int16
	for i := range rows {
		r := &rows[i]
		if r.of != of {
			of, slot = r.of, int16(r.of.workflow.Slot())
		}
		data = binary.BigEndian.AppendUint16(data, width)
		data = appendInt16(data, slot)
		data = appendInt32(data, int32(r.id))
		data = appendInt64(data, of.number)
		data = appendInt64(data, int64(of.at.Sequence))
		if r.time.IsZero() {
			data = appendNull(data)
		} else {
			data = appendInt64(data, r.time.UnixMicro()-postgresEpoch)
		}
		data = appendText(data, r.typeName.(string))
		data = appendText(data, r.name)
	}
	return copied{table: runEventsTable, sql: sql, rows: len(rows), data: append(data, copyTrailer...)}
}

// eventRowBytes is what a row of run_events takes, about.
const eventRowBytes = 120

func appendNull(b []byte) []byte { return binary.BigEndian.AppendUint32(b, 0xffffffff) }

func appendInt16(b []byte, n int16) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(b, 2), uint16(n))
}

func appendInt32(b []byte, n int32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, 4), uint32(n))
}

func appendInt64(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, 8), uint64(n))
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// appendField adds the length of a value and the value.
func appendField(b []byte, pgType string, v any) ([]byte, error) {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	switch v := v.(type) {
	case nil:
		binary.BigEndian.PutUint32(b[start:], 0xffffffff)
		return b, nil
	case int16:
		b = binary.BigEndian.AppendUint16(b, uint16(v))
	case int32:
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	case int64:
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	case bool:
		if v {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	case string:
		if pgType == "jsonb" {
			b = append(b, 1) // version of jsonb's format
		}
		b = append(b, v...)
	case []byte:
		b = append(b, v...)
	case time.Time:
		b = binary.BigEndian.AppendUint64(b, uint64(v.UnixMicro()-postgresEpoch))
	case time.Duration:
		b = binary.BigEndian.AppendUint64(b, uint64(v.Microseconds()))
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 0) // days, months
	case textList:
		b = binary.BigEndian.AppendUint32(b, 1) // dimensions
		b = binary.BigEndian.AppendUint32(b, 0) // no nulls
		b = binary.BigEndian.AppendUint32(b, textOID)
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = binary.BigEndian.AppendUint32(b, 1) // first index
		for _, s := range v {
			b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
			b = append(b, s...)
		}
	default:
		return nil, fmt.Errorf("no binary form of a %T", v)
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b, nil
}

// send copies the rows. Nothing else may be under way on the connection.
func (c copied) send(ctx context.Context, tx pgx.Tx) error {
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(c.data), c.sql)
	if err == nil && tag.RowsAffected() != int64(c.rows) {
		err = fmt.Errorf("%w: %d rows of %s copied instead of %d", errUnexpected, tag.RowsAffected(), c.table.name, c.rows)
	}
	return err
}
