package pgstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore/filter"
)

// pageToken is the place of the last execution of a page.
type pageToken struct {
	Version int    `json:"v"`
	Query   []byte `json:"q"` // of binding
	// Micros is its start time since 1970; nil: it has none.
	Micros     *int64 `json:"t"`
	WorkflowID string `json:"w"`
	RunID      string `json:"r"`
}

const pageTokenVersion = 1

// binding is what a token may be used with: the same namespace, filter and
// order as the list that gave it.
func binding(q ListQuery, o filter.Order) []byte {
	direction := "asc"
	if o.Descending {
		direction = "desc"
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{q.Namespace, strings.TrimSpace(q.Query), o.Column, direction}, "\x00")))
	return sum[:12]
}

func tokenAfter(e Execution, binding []byte) (string, error) {
	t := pageToken{Version: pageTokenVersion, Query: binding, WorkflowID: e.WorkflowID, RunID: e.RunID}
	if e.StartTime != nil {
		micros := e.StartTime.UnixMicro()
		t.Micros = &micros
	}
	b, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// parsePageToken refuses, as *events.InvalidError, whatever tokenAfter did not
// make for this binding. A token is no secret: what it names is within the
// query that comes with it.
func parsePageToken(text string, binding []byte) (*pageToken, error) {
	refuse := func(reason string) (*pageToken, error) {
		return nil, &events.InvalidError{Field: "pageToken", Reason: reason}
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return refuse("is no token of a list")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var t pageToken
	if err := d.Decode(&t); err != nil {
		return refuse("is no token of a list")
	}
	if _, err := d.Token(); err != io.EOF {
		return refuse("is no token of a list")
	}
	if t.Version != pageTokenVersion {
		return refuse("is of another version of Annals: begin with the first page again")
	}
	if !bytes.Equal(t.Query, binding) {
		return refuse("belongs to another query, order or namespace: begin with the first page again")
	}
	if strings.ContainsRune(t.WorkflowID+t.RunID, 0) || t.Micros != nil && !isTableTime(*t.Micros) {
		return refuse("is no token of a list")
	}
	return &t, nil
}

// isTableTime reports whether a column can have the time: years 1 to 9999.
func isTableTime(micros int64) bool {
	year := time.UnixMicro(micros).UTC().Year()
	return 1 <= year && year <= 9999
}

// startTime is nil if the execution has none.
func (t *pageToken) startTime() *time.Time {
	if t.Micros == nil {
		return nil
	}
	at := time.UnixMicro(*t.Micros).UTC()
	return &at
}
