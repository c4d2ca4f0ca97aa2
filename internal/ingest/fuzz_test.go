package ingest

import (
	"errors"
	"testing"

	annalsv1 "github.com/annals-io/annals/pkg/api/annals/v1"
	"github.com/annals-io/annals/pkg/events"
)

// A token is refused with its field's name, or is one that was given out.
func FuzzHistoryToken(f *testing.F) {
	w := events.Workflow{Namespace: "default", ID: "w"}
	request := &annalsv1.GetHistoryRequest{RunId: "r", Reverse: true}
	f.Add(historyToken{Run: "r", From: 7}.seal(w, request))
	f.Add(historyToken{Run: "r", From: 7}.seal(w, &annalsv1.GetHistoryRequest{}))
	f.Add("next")
	f.Fuzz(func(t *testing.T, text string) {
		r := &annalsv1.GetHistoryRequest{RunId: "r", Reverse: true, PageToken: text}
		token, err := openHistoryToken(w, r)
		if err != nil {
			var invalid *events.InvalidError
			if !errors.As(err, &invalid) || invalid.Field != "pageToken" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := openHistoryToken(w, &annalsv1.GetHistoryRequest{RunId: "r", Reverse: true, PageToken: token.seal(w, request)})
		if err != nil || again.Run != token.Run || again.From != token.From {
			t.Fatalf("%q is %v, sealed again %v, %v", text, token, again, err)
		}
	})
}
