package pgstore

import (
	"encoding/json"
	"strconv"

	"github.com/annals-io/annals/pkg/events/eventjson"
	"github.com/annals-io/annals/pkg/projection"
)

// commitRow is a row of commits.
func commitRow(c projection.Commit) (row, error) {
	headers, err := json.Marshal(c.Header)
	if err != nil {
		return nil, err
	}
	if c.Header == nil {
		headers = []byte("{}")
	}
	all, err := eventsOfCommit(c)
	if err != nil {
		return nil, err
	}
	body := c.Body
	if body == nil {
		body = []byte{}
	}
	return row{
		int16(c.Workflow.Slot()), int64(c.Position.Sequence), int16(c.Position.Partition), moment(c.Time),
		c.Workflow.Namespace, c.Workflow.ID, withoutNUL(headers), body, withoutNUL(all),
	}, nil
}

// eventsOfCommit are the commit's events as JSON: by run id and event id. It is put together
// by hand: json.Marshal would read again what eventjson has written.
func eventsOfCommit(c projection.Commit) ([]byte, error) {
	out := make([]byte, 0, 3*len(c.Body)+64)
	out = append(out, '{')
	for i, part := range c.Segments {
		if i > 0 {
			out = append(out, ',')
		}
		run, err := json.Marshal(part.Run)
		if err != nil {
			return nil, err
		}
		out = append(append(out, run...), ":{"...)
		for j, e := range part.Events {
			if j > 0 {
				out = append(out, ',')
			}
			out = append(strconv.AppendInt(append(out, '"'), e.EventId, 10), `":`...)
			text, err := eventjson.EncodeEvent(e)
			if err != nil {
				text = []byte("null") // what JSON cannot hold is in the body all the same
			}
			out = append(out, text...)
		}
		out = append(out, '}')
	}
	return append(out, '}'), nil
}
