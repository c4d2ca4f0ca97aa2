package ingest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/annals-io/annals/pkg/api/annals/v1/annalsv1connect"
)

// compressFrom is the size from which an answer is worth compressing, in bytes.
const compressFrom = 1 << 10

// Server serves the API. It is safe for concurrent use.
type Server struct {
	config   Config
	mux      *http.ServeMux
	calls    *connect.Server
	draining atomic.Bool
}

// New is a server that Run runs. It fails on a config that cannot work.
func New(c Config) (*Server, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{config: c, mux: http.NewServeMux()}
	s.calls = connect.NewServer(append(append([]connect.ServerInterceptor(nil), c.Interceptors...), s.answerErrors, s.endInTime)...)
	annalsv1connect.RegisterLogServiceHandler(s.calls, &logService{log: c.Log})
	annalsv1connect.RegisterQueryServiceHandler(s.calls, &queryService{log: c.Log, tables: c.Tables, waitTimeout: c.WaitTimeout})
	connecthttp.Mount(
		s.mux, s.calls,
		connecthttp.WithCodecs(newBinaryCodec(), jsonCodec{maxBytes: c.MaxRequestBytes}),
		connecthttp.WithReadMaxBytes(c.MaxRequestBytes),
		connecthttp.WithCompressMinBytes(compressFrom),
	)
	s.mountHealth()
	if c.Metrics != nil {
		s.mux.Handle("GET /metrics", c.Metrics)
	}
	return s, nil
}

// ServeHTTP serves one request, for servers of one's own.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Run serves on l until the context ends, then drains and returns nil; calls
// that do not end in time are cut off, and it says so. It closes l.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	// gRPC is HTTP/2, and a service inside a cluster mostly has no TLS.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	h := &http.Server{
		Handler: s, Protocols: protocols,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ReadTimeout: s.config.BodyTimeout,
		ErrorLog:    slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.config.Logger.Info("draining")
	err := s.drain(h)
	<-ended
	return err
}

// drain lets calls under way end.
func (s *Server) drain(h *http.Server) error {
	if s.config.DrainDelay > 0 {
		time.Sleep(s.config.DrainDelay)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
	defer cancel()
	err := h.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(ErrCutOff, h.Close())
	}
	return err
}
