package eventstest

import (
	"encoding"
	"errors"
	"strings"
	"time"

	"github.com/annals-io/annals/pkg/events"
)

func tokenCases() []testCase {
	return named(cursorsGoThroughText, expectationsGoThroughText, damagedTokensAreRefused)
}

func cursorsGoThroughText(c *scene) {
	w := c.workflow("w.é")
	var res events.Result
	for i := range 12 { // with more commits than a cursor names
		if i == 0 {
			res = c.start(w)
		} else {
			res = c.append(events.Request{Workflow: w, Expect: events.After(res.Cursor), Events: signals(1, "s")})
		}
		var again events.Cursor
		if err := again.UnmarshalText([]byte(text(res.Cursor))); err != nil {
			c.Fatal(err)
		}
		c.same("cursor", res.Cursor, again)
		res.Cursor = again
	}
	var zero events.Cursor
	if err := zero.UnmarshalText([]byte(text(events.Cursor{}))); err != nil || !zero.IsZero() {
		c.Errorf("the zero cursor came back as %v, %v", zero, err)
	}
}

func expectationsGoThroughText(c *scene) {
	w := c.workflow("w")
	at := c.start(w)
	for _, expect := range []events.Expectation{
		events.NewRun(), events.NewWorkflow(), events.After(at.Cursor), events.AfterEvent("r.é", 7), events.AtEnd(), events.AtEndOf("r"),
		events.AtEnd().WithAttempt(events.Attempt{After: at.Cursor, Time: time.Unix(1767323045, 678).UTC(), Run: "n"}),
		events.NewRun().WithAttempt(events.Attempt{}), events.NewWorkflow().WithAttempt(events.Attempt{}),
	} {
		var again events.Expectation
		if err := again.UnmarshalText([]byte(text(expect))); err != nil {
			c.Fatalf("%s: %v", expect, err)
		}
		if text(again) != text(expect) || again.String() != expect.String() {
			c.Errorf("%s came back as %s", expect, again)
		}
		a, ok := expect.Attempted()
		b, again2 := again.Attempted()
		if ok != again2 || !a.Time.Equal(b.Time) || a.Run != b.Run || text(a.After) != text(b.After) {
			c.Errorf("attempt %+v came back as %+v", a, b)
		}
	}
}

// damagedTokensAreRefused: a token that was cut or mistyped is no other token.
func damagedTokensAreRefused(c *scene) {
	at := c.start(c.workflow("w"))
	for what, token := range map[string]struct {
		text string
		into encoding.TextUnmarshaler
	}{
		"cursor":      {text(at.Cursor), new(events.Cursor)},
		"expectation": {text(events.After(at.Cursor)), new(events.Expectation)},
	} {
		bad := []string{"", "x", token.text + "A", token.text[1:], token.text[:len(token.text)-1], " " + token.text, strings.Repeat("A", 100_000)}
		for i := range token.text {
			flipped := []byte(token.text)
			if flipped[i] = 'A'; token.text[i] == 'A' {
				flipped[i] = 'B'
			}
			bad = append(bad, string(flipped))
		}
		for _, b := range bad {
			var invalid *events.InvalidError
			if err := token.into.UnmarshalText([]byte(b)); !errors.As(err, &invalid) || invalid.Field != what {
				c.Fatalf("%s %.40q gave %v, want it refused", what, b, err)
			}
		}
	}
	var other events.Expectation
	if err := other.UnmarshalText([]byte(text(at.Cursor))); err == nil {
		c.Error("a cursor was taken for an expectation")
	}
}
