package workerjs

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// An answer that no repetition makes better ends the worker with one line.
func TestWorkerEndsOnPermanentErrors(t *testing.T) {
	t.Parallel()
	node(t)
	tests := []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"another server", 404, "<html>not found</html>", "HTTP status 404, and no answer of Annals"},
		{"another API", 404, `{"detail": "Not Found"}`, "HTTP status 404, and no answer of Annals"},
		{"JSON that is no object", 400, "null", "HTTP status 400, and no answer of Annals"},
		{"a proxy that wants a password", 401, "", "HTTP status 401, and no answer of Annals"},
		{"a page", 200, "<html>welcome</html>", "HTTP status 200, and no answer of Annals"},
		{"the wrong log", 400, `{"code": "failed_precondition", "message": "wrong log: log id"}`, "failed_precondition: wrong log: log id"},
		{"a fault of the service", 500, `{"code": "internal", "message": "internal error"}`, "internal: internal error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if calls.Add(1) > 1 {
					w.Header().Set("Content-Type", "application/json") // it asks again: let it end
					w.WriteHeader(http.StatusBadRequest)
					_, _ = w.Write([]byte(`{"code": "internal", "message": "asked again"}`))
					return
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			t.Cleanup(server.Close)
			w := start(t, server.URL, "s-1")
			code := w.end()
			said := w.wrong.String()
			if code != 1 || !strings.Contains(said, tt.want) || strings.Count(said, "\n") != 1 {
				t.Errorf("exit code %d, standard error %q; want 1 and one line: %s", code, said, tt.want)
			}
			if strings.Contains(tt.want, "no answer of Annals") && !strings.Contains(said, "ANNALS_URL is "+server.URL) {
				t.Errorf("%q does not say where it looked", said)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("it asked %d times", n)
			}
		})
	}
}

// A proxy that does not find the service now may find it later: the worker asks
// again.
func TestWorkerWaitsForAProxy(t *testing.T) {
	t.Parallel()
	node(t)
	f := serveFaulty(t, true, never, never)
	var calls atomic.Int64
	answers := []struct {
		status int
		body   string
	}{{502, "<html>bad gateway</html>"}, {503, ""}, {504, `{"message": "upstream"}`}, {500, "oops"}, {429, "slowly"}}
	before := func(_ string, w http.ResponseWriter, _ *http.Request) bool {
		n := int(calls.Add(1))
		if n > 2*len(answers) || n%2 == 0 {
			return false
		}
		a := answers[n/2]
		w.WriteHeader(a.status)
		_, _ = w.Write([]byte(a.body))
		return true
	}
	f.before.Store(&before)
	w := start(t, f.url, "s-1", "PARCEL_MS=1")
	f.check(t, w)
	if said := strings.Join(w.said, "\n"); strings.Count(said, "; trying again") != len(answers) {
		t.Errorf("it was to try again %d times:\n%s", len(answers), said)
	}
}
