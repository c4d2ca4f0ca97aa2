package workerjs

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// What the worker cannot do as said it refuses with a line that names it, before
// it does anything.
func TestWorkerRefusesSettings(t *testing.T) {
	t.Parallel()
	path := node(t)
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		http.Error(w, "no service", http.StatusNotFound) // nobody is kept waiting
	}))
	t.Cleanup(server.Close)
	tests := []struct {
		name string
		args []string
		env  string
		want string
	}{
		{"no workflow", nil, "", "usage: node worker.js WORKFLOW [PARCELS]"},
		{"too many arguments", []string{"t-9", "1", "2"}, "", "usage: node worker.js WORKFLOW [PARCELS]"},
		{"half a parcel", []string{"t-9", "1.5"}, "", `PARCELS is "1.5", and must be a whole number of 1 to`},
		{"parcels without end", []string{"t-9", "Infinity"}, "", `PARCELS is "Infinity"`},
		{"no parcel", []string{"t-9", "0"}, "", `PARCELS is "0"`},
		{"fewer", []string{"t-9", "-1"}, "", `PARCELS is "-1"`},
		{"an empty number", []string{"t-9", ""}, "", `PARCELS is ""`},
		{"hexadecimal", []string{"t-9", "0x10"}, "", `PARCELS is "0x10"`},
		{"more than a number can count", []string{"t-9", "9007199254740992"}, "", `PARCELS is "9007199254740992"`},
		{"a pause that is no number", []string{"t-9"}, "PARCEL_MS=soon", `PARCEL_MS is "soon", and must be a whole number of 0 to 86400000`},
		{"no time for a call", []string{"t-9"}, "ANNALS_TIMEOUT_MS=0", `ANNALS_TIMEOUT_MS is "0", and must be a whole number of 1 to 86400000`},
		{"no URL", []string{"t-9"}, "ANNALS_URL=localhost", `ANNALS_URL is "localhost", and must begin with http:// or https://`},
		{"a URL of something else", []string{"t-9"}, "ANNALS_URL=nats://localhost:4222", `ANNALS_URL is "nats://localhost:4222"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			c := exec.CommandContext(ctx, path, append([]string{"worker.js"}, tt.args...)...)
			c.Env = append(os.Environ(), "ANNALS_URL="+server.URL, tt.env)
			out, err := c.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.HasPrefix(string(out), tt.want) || strings.Count(string(out), "\n") != 1 {
				t.Errorf("it says\n%s(%v), want exit code 2 and one line: %s", out, err, tt.want)
			}
		})
	}
	if n := calls.Load(); n > 0 {
		t.Errorf("it made %d calls", n)
	}
}
