package eventjson

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"iter"

	"github.com/annals-io/annals/pkg/events"
)

// What stands before the first event of a history, between two, and after the
// last, in the form of [Encode].
const (
	historyBegin = "{\n  \"events\": [\n"
	historyComma = ",\n"
	historyEnd   = "\n  ]\n}"
)

// EncodeTo writes a history byte for byte as [Encode] does, each event as it
// comes, so that no more than one is in memory. It fails as Encode does, with
// the history's error, and with that of a write. What it has written before an
// error is no JSON; before the first event it has written nothing.
func EncodeTo(to io.Writer, history iter.Seq2[*events.Event, error]) (err error) {
	w := bufio.NewWriterSize(to, 64<<10)
	defer func() {
		if flushed := w.Flush(); err == nil {
			err = flushed
		}
	}()
	n := 0
	for e, err := range history {
		if err != nil {
			return err
		}
		text, err := Encode([]*events.Event{e})
		if err != nil {
			return fmt.Errorf("event %d of the history: %w", n, err)
		}
		text, begins := bytes.CutPrefix(text, []byte(historyBegin))
		text, ends := bytes.CutSuffix(text, []byte(historyEnd))
		if !begins || !ends {
			return fmt.Errorf("event %d of the history: its JSON has another form", n)
		}
		before := historyBegin
		if n > 0 {
			before = historyComma
		}
		if _, err := w.WriteString(before); err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
		n++
	}
	end := historyEnd
	if n == 0 {
		end = `{"events": []}`
	}
	_, err = w.WriteString(end)
	return err
}
