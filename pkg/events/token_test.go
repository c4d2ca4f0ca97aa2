package events_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/annals-io/annals/pkg/events"
)

func TestTokensAreReadableAndReversible(t *testing.T) {
	for _, c := range []struct{ why, id, token string }{
		{"ordinary ids stay as they are", "order-2026_00042:a/b@c~!", "order-2026_00042:a/b@c~!"},
		{"what NATS gives a meaning", "a.b*c>d", "a%2Eb%2Ac%3Ed"},
		{"the escape itself", "100%", "100%25"},
		{"what looks escaped", "a%2E", "a%252E"},
		{"white space", "a b\tc\nd", "a%20b%09c%0Ad"},
		{"control bytes", "\x01\x1f\x7f", "%01%1F%7F"},
		{"outside ASCII", "é", "%C3%A9"},
		{"a dollar is no system subject in a later token", "$SYS", "$SYS"},
	} {
		if got := events.EscapeToken(c.id); got != c.token {
			t.Errorf("%s: %q is %q, want %q", c.why, c.id, got, c.token)
		}
		if got, err := events.UnescapeToken(c.token); err != nil || got != c.id {
			t.Errorf("%s: %q is %q, %v, want %q", c.why, c.token, got, err, c.id)
		}
	}
}

func TestTokensHaveOneForm(t *testing.T) {
	for _, c := range []struct{ why, token string }{
		{"a byte that should be escaped", "a.b"},
		{"a space", "a b"},
		{"outside ASCII", "é"},
		{"a control byte", "\x00"},
		{"cut short", "a%2"},
		{"cut shorter", "a%"},
		{"lower case", "%2e"},
		{"no digits", "%GG"},
		{"a sign", "%+2"},
		{"an escape that is not needed", "%61"},
		{"the same after a right one", "%2E%61"},
	} {
		if got, err := events.UnescapeToken(c.token); err == nil {
			t.Errorf("%s: %q was taken for %q", c.why, c.token, got)
		}
	}
}

func TestEveryTextIsATokenAndAHeaderValue(t *testing.T) {
	for name, codec := range map[string]struct {
		escape   func(string) string
		unescape func(string) (string, error)
		never    string
	}{
		"token": {events.EscapeToken, events.UnescapeToken, ".*> \t\r\n\x00\x7f"},
		"value": {events.EscapeValue, events.UnescapeValue, " \t\r\n\x00\x7f"},
	} {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
			token := codec.escape(s)
			if strings.ContainsAny(token, codec.never) || strings.IndexFunc(token, func(r rune) bool { return r > '~' }) >= 0 {
				t.Fatalf("%q is %q", s, token)
			}
			if got, err := codec.unescape(token); err != nil || got != s {
				t.Fatalf("%q became %q, %v", s, got, err)
			}
		}))
	}
}

func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"", "a", "a%2Eb", "%25", "%2e", "%", "%4", "a.b", "é", "%C3%A9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if s, err := events.UnescapeToken(token); err == nil && events.EscapeToken(s) != token {
			t.Errorf("%q is %q, whose token is %q", token, s, events.EscapeToken(s))
		}
		if s, err := events.UnescapeValue(token); err == nil && events.EscapeValue(s) != token {
			t.Errorf("%q is %q, whose value is %q", token, s, events.EscapeValue(s))
		}
	})
}

func TestSubjectsOfWorkflows(t *testing.T) {
	for _, c := range []struct {
		w       events.Workflow
		subject string
	}{
		{events.Workflow{Namespace: "default", ID: "order-42"}, "annals.235.default.order-42"},
		{events.Workflow{Namespace: "shop.eu", ID: "Bestellung 7/é"}, "annals.40.shop%2Eeu.Bestellung%207/%C3%A9"},
		{events.Workflow{Namespace: ">", ID: "*"}, "annals.155.%3E.%2A"},
	} {
		if got := c.w.Subject(); got != c.subject {
			t.Errorf("subject of %s is %q, want %q", c.w, got, c.subject)
		}
		if got, err := events.ParseSubject(c.subject); err != nil || got != c.w {
			t.Errorf("%q is %v, %v, want %s", c.subject, got, err, c.w)
		}
	}
}

// TestSlots holds the hash, which is part of the format: FNV-1a 32 of
// namespace, NUL and id, computed here by hand.
func TestSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorkflow(t)
		h := uint32(2166136261)
		for _, b := range []byte(w.Namespace + "\x00" + w.ID) {
			h = (h ^ uint32(b)) * 16777619
		}
		if got := w.Slot(); got != events.Slot(h%1024) {
			t.Fatalf("slot of %q is %d, want %d", w, got, h%1024)
		}
	})
}

func TestSubjectsThatAreNone(t *testing.T) {
	for _, c := range []struct{ why, subject string }{
		{"empty", ""},
		{"another prefix", "annal.470.default.order-42"},
		{"too few tokens", "annals.235.default"},
		{"too many tokens", "annals.235.default.order-42.r"},
		{"another slot", "annals.471.default.order-42"},
		{"a slot written otherwise", "annals.0235.default.order-42"},
		{"no slot", "annals..default.order-42"},
		{"no namespace", "annals.235..order-42"},
		{"no workflow", "annals.235.default."},
		{"a token of two forms", "annals.235.default.order%2D42"},
		{"a NUL", "annals.0.default.%00"},
		{"not UTF-8", "annals.0.default.%FF"},
		{"too long a namespace", "annals.0." + strings.Repeat("n", 256) + ".w"},
		{"too long an id", "annals.0.n." + strings.Repeat("w", 1001)},
	} {
		if w, err := events.ParseSubject(c.subject); err == nil {
			t.Errorf("%s: %.60q was taken for %v", c.why, c.subject, w)
		}
	}
}

func FuzzParseSubject(f *testing.F) {
	f.Add("annals.235.default.order-42")
	f.Add("annals.40.shop%2Eeu.Bestellung%207/%C3%A9")
	f.Fuzz(func(t *testing.T, subject string) {
		w, err := events.ParseSubject(subject)
		if err != nil {
			return
		}
		if w.Subject() != subject {
			t.Errorf("%q is %v, whose subject is %q", subject, w, w.Subject())
		}
		if err := w.Validate(); err != nil {
			t.Errorf("%q is %v, which is not valid: %v", subject, w, err)
		}
	})
}

// FuzzSubject: every workflow has a subject of four tokens that is its own.
func FuzzSubject(f *testing.F) {
	for _, ids := range [][2]string{{"default", "order-42"}, {"shop.eu", "Bestellung 7/é"}, {">", "*"}, {"%2E", "."}, {"\x00", "\xff"}, {" ", "\t\r\n"}, {"", ""}} {
		f.Add(ids[0], ids[1])
	}
	f.Fuzz(func(t *testing.T, namespace, id string) {
		w := events.Workflow{Namespace: namespace, ID: id}
		subject := w.Subject()
		if strings.Count(subject, ".") != 3 || strings.ContainsAny(subject, "*> \t\r\n\x00") {
			t.Errorf("%q is %q", w, subject)
		}
		got, err := events.ParseSubject(subject)
		if w.Validate() != nil {
			if err == nil {
				t.Errorf("%q is not valid, and %q is %q", w, subject, got)
			}
			return
		}
		if err != nil || got != w || len(subject) > events.MaxSubjectBytes {
			t.Errorf("%q is %q, which is %q, %v", w, subject, got, err)
		}
	})
}

func TestTheLongestSubjectFits(t *testing.T) {
	for _, c := range []string{"\x01", "é", ".", "💥"} {
		fill := func(n int) string { return strings.Repeat(c, n/len(c)) }
		w := events.Workflow{Namespace: fill(events.MaxNamespaceBytes), ID: fill(events.MaxWorkflowIDBytes)}
		if err := w.Validate(); err != nil {
			t.Fatal(err)
		}
		if n := len(w.Subject()); n > events.MaxSubjectBytes || n < 3700 {
			t.Errorf("the longest subject of %q has %d bytes", c, n)
		}
		if got, err := events.ParseSubject(w.Subject()); err != nil || got != w {
			t.Errorf("the longest subject of %q: %v", c, err)
		}
	}
}

func TestCheckID(t *testing.T) {
	for _, c := range []struct {
		why, id string
		ok      bool
	}{
		{"ordinary", "a", true},
		{"as long as may be", "12345", true},
		{"empty", "", false},
		{"too long", "123456", false},
		{"a NUL", "a\x00", false},
		{"not UTF-8", "\xff", false},
		{"bytes count, not characters", "ééé", false},
		{"Unicode", "éé", true},
	} {
		err := events.CheckID("f", c.id, 5)
		var invalid *events.InvalidError
		if c.ok != (err == nil) || !c.ok && (!errors.As(err, &invalid) || invalid.Field != "f") {
			t.Errorf("%s: %q gave %v", c.why, c.id, err)
		}
	}
}

// drawID draws an id of at most n bytes, often with what is awkward in one.
func drawID(t *rapid.T, label string, n int) string {
	return rapid.OneOf(
		rapid.StringMatching(`[a-z0-9-]{1,20}`),
		rapid.StringN(1, 30, n),
		rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{".", "*", ">", "%", " ", "%2E", "é", "\x01", "-", "a", "💥", "\r\n", "$"}), 1, 20), func(s []string) string { return strings.Join(s, "") }),
	).Filter(func(s string) bool {
		return s != "" && len(s) <= n && utf8.ValidString(s) && !strings.Contains(s, "\x00")
	}).Draw(t, label)
}

func drawWorkflow(t *rapid.T) events.Workflow {
	return events.Workflow{Namespace: drawID(t, "namespace", events.MaxNamespaceBytes), ID: drawID(t, "workflow", events.MaxWorkflowIDBytes)}
}
