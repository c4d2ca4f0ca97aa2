package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// The ways to print.
const (
	formatTable    = "table"
	formatJSON     = "json"
	formatJSONL    = "jsonl"
	formatTemporal = "temporal"
	formatProto    = "proto"
)

// output is the flag -o of a command: one of the formats that it knows.
type output struct {
	format string
	known  []string
}

// outputFlag adds -o, whose default is the first of the formats.
func outputFlag(c *cobra.Command, formats ...string) *output {
	o := &output{format: formats[0], known: formats}
	c.Flags().VarP(o, "output", "o", "how to print: "+strings.Join(formats, ", "))
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return o
}

func (o *output) String() string { return o.format }
func (o *output) Type() string   { return "FORMAT" }
func (o *output) Set(s string) error {
	if !slices.Contains(o.known, s) {
		return fmt.Errorf("want %s", strings.Join(o.known, ", "))
	}
	o.format = s
	return nil
}

// is says whether the format is the chosen one.
func (o *output) is(format string) bool { return o.format == format }

// printJSON prints v indented. HTML is not escaped.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printLine prints v as one line of JSON.
func printLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// table prints rows in columns.
type table struct {
	to   io.Writer
	rows bytes.Buffer
	tabs *tabwriter.Writer
}

// newTable begins with the names of the columns; without any it has no header.
func newTable(to io.Writer, columns ...string) *table {
	t := &table{to: to}
	t.tabs = tabwriter.NewWriter(&t.rows, 0, 8, 2, ' ', 0)
	if len(columns) > 0 {
		cells := make([]any, len(columns))
		for i, c := range columns {
			cells[i] = strings.ToUpper(c)
		}
		t.row(cells...)
	}
	return t
}

// row adds a row. Times print as RFC 3339 to the millisecond, absent ones as -.
func (t *table) row(cells ...any) {
	for i, c := range cells {
		if i > 0 {
			_, _ = t.tabs.Write([]byte{'\t'})
		}
		_, _ = t.tabs.Write([]byte(cell(c)))
	}
	_, _ = t.tabs.Write([]byte{'\n'})
}

// cell is a value on one line without what would break a terminal.
func cell(v any) string {
	var s string
	switch v := v.(type) {
	case time.Time:
		if !v.IsZero() {
			s = v.UTC().Format("2006-01-02T15:04:05.000Z")
		}
	case nil:
	default:
		s = fmt.Sprint(v)
	}
	if s == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// flush prints the table. Lines carry no trailing white space.
func (t *table) flush() error {
	if err := t.tabs.Flush(); err != nil {
		return err
	}
	var out bytes.Buffer
	for line := range bytes.Lines(t.rows.Bytes()) {
		out.Write(bytes.TrimRight(line, " \n"))
		out.WriteByte('\n')
	}
	_, err := t.to.Write(out.Bytes())
	return err
}
