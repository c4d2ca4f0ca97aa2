package temporal

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"sync/atomic"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

// Config says which server it is, and how it is reached.
type Config struct {
	Address   string // host:port; required
	Namespace string // Temporal's; required
	// APIKey is sent with every call, as a bearer token; empty: none. It goes
	// over TLS only, unless the server is on this machine.
	APIKey Key
	TLS    *TLS // nil: none
	// Patience is how long a call is repeated that the server cannot answer; 0:
	// until its context ends.
	Patience time.Duration
	Logger   *slog.Logger // nil: slog.Default
}

// Key is a secret: it does not print.
type Key string

// String hides the key.
func (Key) String() string { return "(hidden)" }

// GoString hides the key.
func (Key) GoString() string { return "(hidden)" }

// check refuses a key that no header can hold, without a word of it.
func (k Key) check() error {
	for _, b := range []byte(k) {
		if b < ' ' || b > '~' {
			return &Error{Kind: ErrConfig, Setting: "APIKey", Message: "the key has a line break, or something else that no key has"}
		}
	}
	return nil
}

// TLS is how a connection is secured. The zero value trusts what the system trusts,
// and shows no certificate.
type TLS struct {
	CA         string // file of certificates to trust instead of the system's
	Cert, Key  string // files of the certificate to show, with its key; both or none
	ServerName string // that the server's certificate must have; empty: the address's host
}

// Server is a connection to a namespace of a server. It is safe for concurrent use.
type Server struct {
	config Config
	conns  []*grpc.ClientConn
	// What waits for events has a connection of its own: where something between
	// allows a number of calls at once, others need not wait for those.
	service, waits workflowservice.WorkflowServiceClient
	state          standing
	page           atomic.Int32 // how many runs the next page of a list has at most
}

// Dial prepares a connection. It is made by the first call. The caller MUST Close it.
func Dial(c Config) (*Server, error) {
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return nil, &Error{Kind: ErrConfig, Setting: "Address", Message: fmt.Sprintf("the address %q is not host:port", c.Address)}
	}
	if err := c.APIKey.check(); err != nil {
		return nil, err
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	transport := insecure.NewCredentials()
	switch {
	case c.TLS != nil:
		t, err := c.TLS.config()
		if err != nil {
			return nil, err
		}
		transport = credentials.NewTLS(t)
	case c.APIKey != "" && !onThisMachine(host):
		return nil, &Error{Kind: ErrConfig, Setting: "TLS", Message: "an API key is not sent without TLS"}
	}
	s := &Server{config: c}
	s.page.Store(mostRuns)
	for _, client := range []*workflowservice.WorkflowServiceClient{&s.service, &s.waits} {
		conn, err := grpc.NewClient(c.Address,
			grpc.WithTransportCredentials(transport),
			grpc.WithUnaryInterceptor(c.header),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)), // a page of the largest events
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 15 * time.Second}),
			grpc.WithUserAgent("annals"),
		)
		if err != nil {
			return nil, errors.Join(&Error{Kind: ErrConfig, Setting: "Address", Message: err.Error()}, s.Close())
		}
		s.conns = append(s.conns, conn)
		*client = workflowservice.NewWorkflowServiceClient(conn)
	}
	return s, nil
}

// Close ends the connections.
func (s *Server) Close() error {
	var errs []error
	for _, c := range s.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// header says to Temporal Cloud whose call it is.
func (c Config) header(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	if c.APIKey != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+string(c.APIKey), "temporal-namespace", c.Namespace)
	}
	return invoke(ctx, method, req, reply, conn, options...)
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (t *TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, &Error{Kind: ErrConfig, Setting: "TLS.CA", Message: fmt.Sprintf("the certificates to trust: %v", err)}
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, &Error{Kind: ErrConfig, Setting: "TLS.CA", Message: fmt.Sprintf("the certificates to trust: %s holds none in PEM", t.CA)}
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, &Error{Kind: ErrConfig, Setting: "TLS.Cert", Message: "a certificate needs its key, and a key its certificate"}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, &Error{Kind: ErrConfig, Setting: "TLS.Cert", Message: fmt.Sprintf("the certificate to show: %v", err)}
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
