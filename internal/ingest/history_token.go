package ingest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	"github.com/annals-io/annals/pkg/events"
)

// historyToken is where the next answer of GetHistory begins. It is no secret:
// what it names is within the workflow that comes with it.
type historyToken struct {
	Version int            `json:"v"`
	Request []byte         `json:"q"` // of binding
	Run     events.RunID   `json:"r"`
	From    events.EventID `json:"n"`
}

const historyTokenVersion = 1

// binding is what a token may be used with: a request for the same events as the
// one that it answers.
func (historyToken) binding(w events.Workflow, r *annalsv1.GetHistoryRequest) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %d %t", w.Namespace, w.ID, r.RunId, r.FromEventId, r.Reverse))
	return sum[:12]
}

func (t historyToken) seal(w events.Workflow, r *annalsv1.GetHistoryRequest) string {
	t.Version, t.Request = historyTokenVersion, t.binding(w, r)
	b, _ := json.Marshal(t) // texts, bytes and numbers always have a JSON
	return base64.RawURLEncoding.EncodeToString(b)
}

// openHistoryToken refuses, as *events.InvalidError, whatever seal did not make
// for this request.
func openHistoryToken(w events.Workflow, r *annalsv1.GetHistoryRequest) (historyToken, error) {
	var t historyToken
	b, err := base64.RawURLEncoding.Strict().DecodeString(r.PageToken)
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		err = d.Decode(&t)
	}
	switch {
	case err != nil:
		return t, invalidf("pageToken", "is no token of a history")
	case t.Version != historyTokenVersion:
		return t, invalidf("pageToken", "is of another version of Annals: begin with the first page again")
	case !bytes.Equal(t.Request, t.binding(w, r)):
		return t, invalidf("pageToken", "belongs to another request: the other fields have to be as they were")
	case t.From < 1 || events.CheckID("run", string(t.Run), events.MaxRunIDBytes) != nil:
		return t, invalidf("pageToken", "is no token of a history")
	}
	return t, nil
}
