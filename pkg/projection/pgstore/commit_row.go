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
	runs := make(map[string]map[string]json.RawMessage, len(c.Segments))
	for _, part := range c.Segments {
		list := make(map[string]json.RawMessage, len(part.Events))
		for _, e := range part.Events {
			// What JSON cannot hold is null: it is in the body all the same.
			b, err := eventjson.EncodeEvent(e)
			if err != nil {
				b = []byte("null")
			}
			list[strconv.FormatInt(e.EventId, 10)] = b
		}
		runs[string(part.Run)] = list
	}
	all, err := json.Marshal(runs)
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
