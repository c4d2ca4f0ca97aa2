package temporal

import (
	"context"
	"net"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
	"go.temporal.io/server/temporaltest"

	"github.com/annals-io/annals/pkg/searchattribute"
)

// patience is how long anything may take on a machine that is busy.
const patience = 5 * time.Minute

// between is how long a question that has to be asked again waits: Temporal's
// visibility tells nobody that it has caught up.
const between = 20 * time.Millisecond

// workerOptions name a build in the way of workers without a version: the attribute
// BuildIds is to be there.
var workerOptions = worker.Options{Identity: "worker", BuildID: "build-1"} //nolint:staticcheck // what takes its place sets no BuildIds

// server is a Temporal server with workers.
type server struct {
	client.Client
	namespace string
	address   string // host:port
}

// attributeTypes are the search attributes of both, by their types' names.
var attributeTypes = map[string]enumspb.IndexedValueType{
	customer.GetName(): enumspb.INDEXED_VALUE_TYPE_KEYWORD, note.GetName(): enumspb.INDEXED_VALUE_TYPE_TEXT,
	labels.GetName(): enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST, amount.GetName(): enumspb.INDEXED_VALUE_TYPE_INT,
	ratio.GetName(): enumspb.INDEXED_VALUE_TYPE_DOUBLE, flagged.GetName(): enumspb.INDEXED_VALUE_TYPE_BOOL,
	due.GetName(): enumspb.INDEXED_VALUE_TYPE_DATETIME,
}

func typeNamed(t enumspb.IndexedValueType) searchattribute.Type {
	return searchattribute.TypeNamed(t.String())
}

// startServer starts one whose frontend allows so many reads of its tables a second.
func startServer(t *testing.T, reads int) server {
	t.Helper()
	ts := temporaltest.NewServer(append(serverOptions(t, reads), temporaltest.WithT(t))...)
	s := server{Client: ts.GetDefaultClient(), namespace: ts.GetDefaultNamespace(), address: ts.GetFrontendHostPort()}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := s.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: s.namespace, SearchAttributes: attributeTypes}); err != nil {
		t.Fatal(err)
	}
	s.createEndpoints(ctx, t)
	ts.NewWorkerWithOptions(queue, func(r worker.Registry) { register(r); registerNexus(r) }, workerOptions)
	// One whose workflows may fail a workflow task and go on.
	patient := worker.New(s.Client, queue+"-patient", workerOptions)
	register(patient)
	if err := patient.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(patient.Stop)
	return s
}

// How many reads a server allows: what one does that nobody told, and as many as there are.
// The servers read their search attributes anew for each run of a list: a list of a
// thousand runs is more than one is allowed by default.
const (
	byDefault = 2000
	unlimited = 1_000_000
)

func serverOptions(t testing.TB, reads int) []temporaltest.TestServerOption {
	on := []dynamicconfig.ConstrainedValue{{Value: true}}
	many := []dynamicconfig.ConstrainedValue{{Value: 10_000}}
	return []temporaltest.TestServerOption{
		temporaltest.WithBaseClientOptions(client.Options{Identity: "client", Logger: silence{}}),
		temporaltest.WithBaseServerOptions(temporal.WithDynamicConfigClient(dynamicconfig.StaticClient{
			dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key():      on,
			dynamicconfig.WorkflowPauseEnabled.Key():                         on,
			dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key(): many,
			dynamicconfig.FrontendMaxNamespaceRPSPerInstance.Key():           many,
			dynamicconfig.FrontendPersistenceMaxQPS.Key():                    []dynamicconfig.ConstrainedValue{{Value: reads}},
		}), withHTTP(t)),
	}
}

// withHTTP gives the server's frontend an HTTP port: it passes Nexus on by that, and
// temporaltest leaves it out. Of all options this is the one that is shown the
// configuration.
func withHTTP(t testing.TB) temporal.ServerOption {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	return temporal.WithAudienceGetter(func(cfg *config.Config) authorization.JWTAudienceMapper {
		frontend := cfg.Services[string(primitives.FrontendService)]
		frontend.RPC.HTTPPort = port
		cfg.Services[string(primitives.FrontendService)] = frontend
		return nil
	})
}

// silence drops what the SDK logs: failures are what most of the workflows are for.
type silence struct{}

func (silence) Debug(string, ...any) {}
func (silence) Info(string, ...any)  {}
func (silence) Warn(string, ...any)  {}
func (silence) Error(string, ...any) {}

// until asks again and again until it is so, and fails the test if that takes too long.
func until(t *testing.T, what string, so func(ctx context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(between)
	defer tick.Stop()
	for {
		ok, err := so(ctx)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not after %s", what, patience)
		case <-tick.C:
		}
	}
}
