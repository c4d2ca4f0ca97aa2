package ingest

import (
	"errors"
	"strings"
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

// Positions are refused with their field's name, or are places that the log can have.
func FuzzPositions(f *testing.F) {
	for _, text := range []string{"", "now", "0:1", "1:7, now,0:9223372036854775807", ":", "0:", "-1:1", "2:1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, now, err := parsePositions(text, 2)
		if err != nil {
			var invalid *events.InvalidError
			if !errors.As(err, &invalid) || invalid.Field != "waitFor" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		var texts []string
		for _, p := range list {
			if p.Partition < 0 || p.Partition > 1 || p.Sequence > 1<<63-1 {
				t.Fatalf("%q holds %s", text, p)
			}
			texts = append(texts, p.String())
		}
		if now {
			texts = append(texts, waitForNow)
		}
		again, nowAgain, err := parsePositions(strings.Join(texts, ","), 2)
		if err != nil || nowAgain != now || len(again) != len(list) {
			t.Fatalf("%q is %v, written and read again %v, %v", text, list, again, err)
		}
	})
}
