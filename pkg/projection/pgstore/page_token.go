package pgstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/projection/pgstore/filter"
)

// pageToken is the place of the last execution of a page.
type pageToken struct {
	Version int    `json:"v"`
	Query   []byte `json:"q"` // of binding
	// Place is in the list's order; nil: it has no value.
	Place []*string `json:"p"`
}

const pageTokenVersion = 2

// errNoToken: whatever it is, no list gave it.
var errNoToken = &events.InvalidError{Field: "pageToken", Reason: "is no token of a list"}

// binding is what a token may be used with: the same namespace, filter and
// order as the list that gave it.
func binding(q ListQuery, o filter.Order) []byte {
	sum := sha256.Sum256([]byte(strings.Join([]string{q.Namespace, strings.TrimSpace(q.Query), o.String()}, "\x00")))
	return sum[:12]
}

func tokenAfter(place []*string, binding []byte) (string, error) {
	b, err := json.Marshal(pageToken{Version: pageTokenVersion, Query: binding, Place: place})
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// parsePageToken refuses, as *events.InvalidError, whatever tokenAfter did not
// make for this binding, but for what the place holds. A token is no secret: what it
// names is within the query that comes with it.
func parsePageToken(text string, binding []byte) (place []*string, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errNoToken
	}
	var version struct {
		Version int `json:"v"`
	}
	if json.Unmarshal(b, &version) == nil && version.Version != pageTokenVersion {
		return nil, &events.InvalidError{Field: "pageToken", Reason: "is of another version of Annals: begin with the first page again"}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var t pageToken
	if err := d.Decode(&t); err != nil {
		return nil, errNoToken
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errNoToken
	}
	if !bytes.Equal(t.Query, binding) {
		return nil, &events.InvalidError{Field: "pageToken", Reason: "belongs to another query, order or namespace: begin with the first page again"}
	}
	return t.Place, nil
}
