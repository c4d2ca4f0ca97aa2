package replay

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/annals-io/annals/pkg/execution"
)

// String is the difference for people: which two places, what was opened,
// changed or closed between them, and the fields that differ. Payloads that are
// JSON are shown as what they hold; a long value is cut, around where the two
// sides part. Counts and sizes, and
// what things already say, are left to the JSON.
func (d *StateDiff) String() string {
	var b bytes.Buffer
	at := func(s *execution.State) string { return fmt.Sprintf("event %d (%s)", s.LastEventID, instant(s)) }
	if d.OneRun {
		fmt.Fprintf(&b, "%s run %s: from %s to %s\n", d.From.Workflow, printable(string(d.From.RunID)), at(d.From), at(d.To))
	} else {
		for i, s := range []*execution.State{d.From, d.To} {
			fmt.Fprintf(&b, "%s %s run %s at %s\n", []string{"from", "to  "}[i], s.Workflow, printable(string(s.RunID)), at(s))
		}
	}
	columns := func(header string, rows [][]string) {
		if len(rows) == 0 {
			return
		}
		b.WriteByte('\n')
		w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, header)
		for _, row := range rows {
			fmt.Fprintln(w, strings.Join(row, "\t"))
		}
		_ = w.Flush() // into memory
	}
	var things, fields [][]string
	for _, t := range d.Things {
		things = append(things, []string{t.Kind, strconv.FormatInt(int64(t.EventID), 10), printed(t.ID, "-"), printed(t.Name, "-"), printed(t.Before, "-"), printed(t.After, "-")})
	}
	columns("WHAT\tEVENT\tID\tNAME\tBEFORE\tAFTER", things)
	for _, f := range d.Fields {
		if !d.obvious(f) {
			before, after := cut(readable(f.Before), readable(f.After))
			fields = append(fields, []string{printable(f.Path), before, after})
		}
	}
	columns("FIELD\tBEFORE\tAFTER", fields)
	switch {
	case len(d.Fields) == 0:
		b.WriteString("\nno difference\n")
	case len(things)+len(fields) == 0:
		b.WriteString("\nonly counts, times and sizes differ: -o json has them\n")
	}
	return b.String()
}

// obvious are the changes that every event makes, and those that a Thing says.
func (d *StateDiff) obvious(f execution.FieldChange) bool {
	switch f.Path {
	case "lastEventId", "historyLength", "historySizeBytes", "updatedAt", "open", "lastFailureEventId", "namespace", "workflowId", "runId":
		return true
	}
	if strings.HasPrefix(f.Path, "counts.") || strings.HasPrefix(f.Path, "workflowTasks.") && !strings.HasPrefix(f.Path, "workflowTasks.lastFailure") {
		return true
	}
	return d.OneRun && strings.HasSuffix(f.Path, "]") && (f.Before == nil || f.After == nil) && !strings.HasSuffix(f.Path, `"]`)
}

func instant(s *execution.State) string {
	if s.UpdatedAt.IsZero() {
		return ""
	}
	return s.UpdatedAt.Format(time.RFC3339Nano)
}

// readableRunes is how much of a value is shown.
const readableRunes = 100

// readable is a value of a FieldChange on one line for people: a payload in it
// that is JSON as what it holds, another one as its encoding and size, a text
// without quotes, an object without its empty members. What is not there is a dash.
func readable(value json.RawMessage) string {
	if value == nil {
		return "-"
	}
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return printable(string(value))
	}
	v = opened(v)
	text, isText := v.(string)
	if !isText {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		_ = e.Encode(v) // of what was JSON
		text = strings.TrimSuffix(b.String(), "\n")
	}
	return printed(text, "-")
}

// cut cuts two values that differ so that what is shown has the first rune by
// which they do.
func cut(before, after string) (string, string) {
	a, b := []rune(before), []rune(after)
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	from := 0
	if same >= readableRunes/2 && max(len(a), len(b)) > readableRunes {
		from = same - readableRunes/4
	}
	return window(a, from), window(b, from)
}

// window is what is shown of a value from a rune on.
func window(runes []rune, from int) string {
	head, tail := "", ""
	if from > 0 {
		head, runes = "…", runes[from:]
	}
	if most := readableRunes - len([]rune(head)); len(runes) > most {
		tail, runes = "…", runes[:most-1]
	}
	return head + string(runes) + tail
}

// isEmpty says whether a member of an object says nothing.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == "" || v == "Unspecified"
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// opened is a value with the payloads in it replaced by what they hold, and
// without empty members.
func opened(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = opened(v[i])
		}
	case map[string]any:
		if held, is := payload(v); is {
			return held
		}
		if list, only := v["payloads"].([]any); only && len(v) == 1 {
			return opened(list)
		}
		for name := range v {
			if v[name] = opened(v[name]); isEmpty(v[name]) {
				delete(v, name)
			}
		}
	}
	return v
}

// payload is what a payload holds, if the object is one.
func payload(object map[string]any) (any, bool) {
	metadata, is := object["metadata"].(map[string]any)
	encoded, _ := metadata["encoding"].(string)
	encoding, err := base64.StdEncoding.DecodeString(encoded)
	if !is || encoded == "" || err != nil {
		return nil, false
	}
	text, _ := object["data"].(string)
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, false
	}
	switch {
	case string(encoding) == "binary/null":
		return nil, true
	case strings.HasPrefix(string(encoding), "json/"):
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		var v any
		if d.Decode(&v) == nil {
			return v, true
		}
	}
	return fmt.Sprintf("%s, %d bytes", encoding, len(data)), true
}

// printed is a text that is printable, or what stands for an empty one.
func printed(s, empty string) string { return cmp.Or(printable(s), empty) }

// printable is a text on one line without what would break a terminal or a
// column.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}
