package temporal_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/annals-io/annals/internal/temporal"
	"github.com/annals-io/annals/internal/testenv"
	"github.com/annals-io/annals/internal/testenv/temporalfake"
	"github.com/annals-io/annals/pkg/events"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

func dial(t *testing.T, c temporal.Config) *temporal.Server {
	t.Helper()
	c.Namespace, c.Logger = temporalfake.Namespace, quiet
	s, err := temporal.Dial(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// authority signs certificates for tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.sign("ca", nil)
	return a
}

// path is that of a file which the authority wrote: ca.pem, or NAME.pem and NAME.key.
func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) sign(name string, names []string) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: a.cert == nil,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(a.path(file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return cert, key
}

func (a *authority) pair(name string) tls.Certificate {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(a.path(name+".pem"), a.path(name+".key"))
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

// A server that wants to see a certificate and a key is given both, by TLS; one whose
// own certificate nobody trusts, or that has another name, is given nothing.
func TestTLSAndKey(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.sign("server", []string{"temporal.test"})
	a.sign("client", nil)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	fake := temporalfake.New(t, temporalfake.Options{TLS: &tls.Config{
		Certificates: []tls.Certificate{a.pair("server")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12,
	}})
	whole := temporal.TLS{CA: a.path("ca.pem"), Cert: a.path("client.pem"), Key: a.path("client.key"), ServerName: "temporal.test"}
	if err := dial(t, temporal.Config{Address: fake.Address, TLS: &whole, APIKey: "a-secret"}).Probe(t.Context(), "", time.Minute); err != nil {
		t.Fatal(err)
	}
	h := fake.Headers()[0]
	if fmt.Sprint(h.Get("authorization"), h.Get("temporal-namespace")) != "[Bearer a-secret] [default]" {
		t.Errorf("authorization %v, namespace %v", h.Get("authorization"), h.Get("temporal-namespace"))
	}
	for name, change := range map[string]func(*temporal.TLS){
		"not trusted":    func(c *temporal.TLS) { c.CA = a.path("client.pem") },
		"another name":   func(c *temporal.TLS) { c.ServerName = "other.test" },
		"no certificate": func(c *temporal.TLS) { c.Cert, c.Key = "", "" },
	} {
		c := whole
		change(&c)
		err := dial(t, temporal.Config{Address: fake.Address, TLS: &c, APIKey: "a-secret"}).Probe(t.Context(), "", time.Second)
		var e *temporal.Error
		if !errors.Is(err, temporal.ErrAway) || !errors.As(err, &e) || e.Untrusted != (name != "no certificate") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n := len(fake.Headers()); n != 1 {
		t.Errorf("%d calls got through, want 1", n)
	}
}

func TestConfigsThatCannotBe(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for _, c := range []struct {
		name, setting string
		config        temporal.Config
	}{
		{"no port", "Address", temporal.Config{Address: "temporal.test"}},
		{"a key in clear over the network", "TLS", temporal.Config{Address: "temporal.test:7233", APIKey: "a-secret"}},
		{"a key with a line break", "APIKey", temporal.Config{Address: "h:1", TLS: &temporal.TLS{}, APIKey: "a-secret\n"}},
		{"no such certificates", "TLS.CA", temporal.Config{Address: "h:1", TLS: &temporal.TLS{CA: a.path("none")}}},
		{"certificates that are none", "TLS.CA", temporal.Config{Address: "h:1", TLS: &temporal.TLS{CA: a.path("ca.key")}}},
		{"a certificate without its key", "TLS.Cert", temporal.Config{Address: "h:1", TLS: &temporal.TLS{Cert: a.path("ca.pem")}}},
		{"a key that is none", "TLS.Cert", temporal.Config{Address: "h:1", TLS: &temporal.TLS{Cert: a.path("ca.pem"), Key: a.path("ca.pem")}}},
	} {
		s, err := temporal.Dial(c.config)
		var e *temporal.Error
		if !errors.Is(err, temporal.ErrConfig) || !errors.As(err, &e) || e.Setting != c.setting || strings.Contains(err.Error(), "a-secret") {
			t.Errorf("%s: got %v, %v", c.name, s, err)
		}
	}
}

func TestAKeyDoesNotPrint(t *testing.T) {
	t.Parallel()
	c := temporal.Config{APIKey: "a-secret"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, c); strings.Contains(text, "secret") {
			t.Errorf("%s: %s", format, text)
		}
	}
}

// A server that is not there is waited for as long as was said, and no longer.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := dial(t, temporal.Config{Address: l.Addr().String()})
	if err := s.Probe(t.Context(), "", time.Millisecond); !errors.Is(err, temporal.ErrAway) {
		t.Errorf("got %v, want that it is away", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	time.AfterFunc(10*time.Millisecond, func() { cancel(over) })
	if err := s.Probe(ctx, "", 0); !errors.Is(err, over) {
		t.Errorf("got %v, want the context's cause", err)
	}
}

// A server that refuses large pages, whatever the time, is asked for smaller ones, and
// not for large ones again; one that has had enough calls for now, for the same. One that
// refuses the smallest is asked too much.
func TestPagesThatAreTooLarge(t *testing.T) {
	t.Parallel()
	var most atomic.Int64
	most.Store(300)
	var sizes []int
	fake := temporalfake.New(t, temporalfake.Options{Fail: func(c temporalfake.Call) error {
		sizes = append(sizes, c.Size)
		switch {
		case c.N == 1:
			return serviceerror.NewResourceExhausted(enumspb.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT, "namespace rate limit exceeded")
		case c.Size > int(most.Load()) && c.N%2 == 0:
			return serviceerror.NewUnavailable("Unable to read search attributes types: System Persistence Max QPS Reached.")
		case c.Size > int(most.Load()):
			return serviceerror.NewResourceExhausted(enumspb.RESOURCE_EXHAUSTED_CAUSE_PERSISTENCE_LIMIT, "failed to load search attributes: System Persistence Max QPS Reached.")
		}
		return nil
	}})
	for i := range 7 { // pages of three, whatever is asked for
		fake.Put(temporalfake.Run{Workflow: fmt.Sprint(i), ID: "A", Began: time.Now()})
	}
	s := dial(t, temporal.Config{Address: fake.Address, Patience: time.Minute})
	for range 2 {
		n := 0
		for _, err := range s.List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != 7 {
			t.Errorf("%d runs, want 7", n)
		}
	}
	if want := []int{1000, 1000, 500, 250, 250, 250, 250, 250, 250}; !slices.Equal(sizes, want) {
		t.Errorf("asked for pages of %d, want %d", sizes, want)
	}
	most.Store(1)
	s = dial(t, temporal.Config{Address: fake.Address, Patience: 4 * time.Second})
	for _, err := range s.List(t.Context(), "") {
		if !errors.Is(err, temporal.ErrBusy) || !strings.Contains(err.Error(), "Max QPS Reached") {
			t.Errorf("got %v, want that it is asked too much", err)
		}
	}
	if smallest := slices.Min(sizes); smallest != 50 {
		t.Errorf("asked for pages of %d, want 50 at least", smallest)
	}
	if err := s.Probe(t.Context(), "", time.Second); err != nil {
		t.Errorf("of a single run: %v", err)
	}
}

// At the end of an open run the server is to wait: nothing, something, the end.
func TestWaitingForEvents(t *testing.T) {
	t.Parallel()
	fake := temporalfake.New(t, temporalfake.Options{Page: 100})
	started, more := events.WorkflowStarted("Order", "orders"), events.Signaled("step")
	started.EventId, more.EventId = 1, 2
	now := time.Now()
	fake.Put(temporalfake.Run{Workflow: "w", ID: "A", Began: now, Events: []*events.Event{started}})
	s := dial(t, temporal.Config{Address: fake.Address})
	r := temporal.Request{Workflow: "w", Run: "A", Wait: 20 * time.Second}
	page, err := s.History(t.Context(), r)
	if err != nil || len(page.Events) != 1 || page.Next == nil {
		t.Fatalf("%v, %v", page, err)
	}
	r.Token = page.Next
	if page, err = s.History(t.Context(), r); err != nil || len(page.Events) != 0 || page.Next == nil {
		t.Fatalf("nothing happened: %v, %v", page, err)
	}
	time.AfterFunc(10*time.Millisecond, func() {
		fake.Put(temporalfake.Run{Workflow: "w", ID: "A", Began: now, Closed: now, Events: []*events.Event{started, more}})
	})
	for r.Token = page.Next; ; r.Token = page.Next {
		if page, err = s.History(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if len(page.Events) > 0 {
			break
		}
	}
	if len(page.Events) != 1 || page.Events[0].EventId != 2 || page.Next != nil {
		t.Errorf("%v", page)
	}
}

// A page that takes its time is waited for, however short the wait for events is: the
// first one at once, a later one by who asks again. It is never an empty page.
func TestASlowServer(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	fake := temporalfake.New(t, temporalfake.Options{Fail: func(c temporalfake.Call) error {
		switch c.N {
		case 1:
			<-time.After(1100 * time.Millisecond) // longer than an answer to a wait for an event may take
		case 2:
			<-answer
		}
		return nil
	}})
	now := time.Now()
	var evs []*events.Event
	for i := range 5 {
		evs = append(evs, events.Signaled("step"))
		evs[i].EventId = int64(i + 1)
	}
	fake.Put(temporalfake.Run{Workflow: "w", ID: "A", Began: now, Events: evs})
	s := dial(t, temporal.Config{Address: fake.Address})
	r := temporal.Request{Workflow: "w", Run: "A", Wait: time.Millisecond}
	page, err := s.History(t.Context(), r)
	if err != nil || len(page.Events) != 3 || page.Late {
		t.Fatalf("the first page: %v, %v", page, err)
	}
	if n := len(fake.Headers()); n != 1 {
		t.Errorf("the first page was asked for %d times", n)
	}
	r.Token = page.Next
	late, err := s.History(t.Context(), r)
	close(answer)
	if err != nil || !late.Late || len(late.Events) != 0 || !bytes.Equal(late.Next, r.Token) {
		t.Fatalf("the second page, which does not come: %v, %v", late, err)
	}
	r.Token, r.Wait = late.Next, temporal.MaxWait
	if page, err = s.History(t.Context(), r); err != nil || len(page.Events) != 2 || page.Late {
		t.Errorf("the second page: %v, %v", page, err)
	}
}

func TestWhatAnAnswerMeans(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		err           error
		list, history error
	}{
		{"not found", serviceerror.NewNotFound("workflow execution not found"), temporal.ErrRefused, temporal.ErrGone},
		{"no namespace", serviceerror.NewNamespaceNotFound("x"), temporal.ErrNamespace, temporal.ErrNamespace},
		{"bad request", serviceerror.NewInvalidArgument("invalid"), temporal.ErrQuery, temporal.ErrRefused},
		{"denied", serviceerror.NewPermissionDenied("no", ""), temporal.ErrDenied, temporal.ErrDenied},
		{"lost", serviceerror.NewDataLoss("history is damaged"), temporal.ErrRefused, temporal.ErrRefused},
	} {
		fake := temporalfake.New(t, temporalfake.Options{Fail: func(temporalfake.Call) error { return c.err }})
		s := dial(t, temporal.Config{Address: fake.Address})
		if err := s.Probe(t.Context(), "", time.Minute); !errors.Is(err, c.list) || !strings.Contains(err.Error(), c.err.Error()) {
			t.Errorf("%s, of a list: %v", c.name, err)
		}
		if _, err := s.History(t.Context(), temporal.Request{Workflow: "w", Run: "A"}); !errors.Is(err, c.history) {
			t.Errorf("%s, of a history: %v", c.name, err)
		}
	}
}
