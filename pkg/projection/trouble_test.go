package projection

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Trouble is logged at once, when it changes, and then once a minute, as an error from the first minute on; and that
// it has passed.
func TestTroubleIsLoggedWhenItBeginsChangesAndStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		var trouble trouble
		away, full := errors.New("away"), errors.New("full")
		begin := time.Now()
		for range 13 {
			trouble.met(t.Context(), logger, away)
			time.Sleep(10 * time.Second)
		}
		trouble.met(t.Context(), logger, full)
		if !trouble.since.Equal(begin) {
			t.Errorf("it began at %s, want %s", trouble.since, begin)
		}
		trouble.over(t.Context(), logger)
		trouble.over(t.Context(), logger)
		trouble.met(t.Context(), logger, full)
		want := []string{
			`level=WARN msg="projecting was interrupted; trying again" error=away attempts=1 for=0s`,
			`level=ERROR msg="projecting was interrupted; trying again" error=away attempts=7 for=1m0s`,
			`level=ERROR msg="projecting was interrupted; trying again" error=away attempts=13 for=2m0s`,
			`level=ERROR msg="projecting was interrupted; trying again" error=full attempts=14 for=2m10s`,
			`level=INFO msg="projecting goes on" attempts=14 after=2m10s`,
			`level=WARN msg="projecting was interrupted; trying again" error=full attempts=1 for=0s`,
		}
		if got := strings.Split(strings.TrimSpace(out.String()), "\n"); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("logged:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}
