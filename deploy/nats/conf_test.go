// Package nats_test loads the server configurations of this folder and runs them.
package nats_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/internal/embednats"
)

// variables has a value for all that the configurations name.
func variables(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"NATS_NAME":         "annals-2",
		"NATS_HOST":         "127.0.0.1",
		"NATS_PORT":         "20001",
		"NATS_STORE_DIR":    filepath.Join(t.TempDir(), "store-1.x"),
		"NATS_CLUSTER_PORT": "20002",
		"NATS_ROUTE_1":      "nats://127.0.0.1:20002",
		"NATS_ROUTE_2":      "nats://127.0.0.1:20003",
		"NATS_ROUTE_3":      "nats://127.0.0.1:20004",
	}
}

func load(t *testing.T, file string, vars map[string]string) *server.Options {
	t.Helper()
	for name, value := range vars {
		t.Setenv(name, value)
	}
	o, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Every configuration here must keep the promise of an acknowledgement and take the largest commit.
func TestEveryConfiguration(t *testing.T) {
	files, err := filepath.Glob("*.conf")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"cluster.conf", "single.conf"}; !cmp.Equal(want, files) {
		t.Fatalf("the folder has %v, and this test knows %v", files, want)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			vars := variables(t)
			o := load(t, file, vars)
			type kept struct {
				JetStream, SyncAlways bool
				MaxPayload            int32
				Host                  string
				Port                  int
				StoreDir              string
			}
			want := kept{true, true, embednats.MaxPayload, "127.0.0.1", 20001, vars["NATS_STORE_DIR"]}
			got := kept{o.JetStream, o.SyncAlways, o.MaxPayload, o.Host, o.Port, o.StoreDir}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestClusterConfiguration(t *testing.T) {
	o := load(t, "cluster.conf", variables(t))
	var routes []string
	for _, r := range o.Routes {
		routes = append(routes, r.String())
	}
	want := []string{"nats://127.0.0.1:20002", "nats://127.0.0.1:20003", "nats://127.0.0.1:20004"}
	if diff := cmp.Diff(want, routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	if o.Cluster.Name != "annals" || o.Cluster.Port != 20002 || o.ServerName != "annals-2" {
		t.Errorf("cluster %q, port %d, server %q", o.Cluster.Name, o.Cluster.Port, o.ServerName)
	}
}

// As the README says.
func TestAValueWithBlanksNeedsQuotes(t *testing.T) {
	vars := variables(t)
	vars["NATS_STORE_DIR"] = `"/srv/my #1 nats"`
	if got := load(t, "single.conf", vars).StoreDir; got != "/srv/my #1 nats" {
		t.Errorf("store folder %q", got)
	}
}

// A server that came up on a default instead would write somewhere else, or to nowhere.
func TestAVariableThatIsNotSetIsAnError(t *testing.T) {
	for file, names := range map[string][]string{
		"single.conf":  {"NATS_HOST", "NATS_PORT", "NATS_STORE_DIR"},
		"cluster.conf": {"NATS_NAME", "NATS_HOST", "NATS_PORT", "NATS_STORE_DIR", "NATS_CLUSTER_PORT", "NATS_ROUTE_1", "NATS_ROUTE_2", "NATS_ROUTE_3"},
	} {
		for _, name := range names {
			t.Run(file+"/"+name, func(t *testing.T) {
				for other, value := range variables(t) {
					t.Setenv(other, value)
				}
				if err := os.Unsetenv(name); err != nil {
					t.Fatal(err)
				}
				if _, err := server.ProcessConfigFile(file); err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("got %v, want an error that names %s", err, name)
				}
			})
		}
	}
}

// The README says which variables there are: neither more nor fewer than the files use.
func TestReadmeNamesEveryVariable(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range variables(t) {
		if name == "NATS_ROUTE_2" {
			continue // inside of "NATS_ROUTE_1 to NATS_ROUTE_3"
		}
		if !strings.Contains(string(readme), "`"+name+"`") {
			t.Errorf("README.md does not explain %s", name)
		}
	}
}

func run(t *testing.T, o *server.Options) *server.Server {
	t.Helper()
	o.NoSigs, o.NoLog = true, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not accept connections")
	}
	return s
}

// append3 stores a message of 3 MiB in a stream with the given number of replicas.
func append3(t *testing.T, url string, replicas int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	// Until a cluster has a leader it answers that it cannot, or not at all.
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err = js.CreateStream(try, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: replicas})
		cancel()
		var api *jetstream.APIError
		if err == nil || ctx.Err() != nil {
			break
		}
		if !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &api) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "s", make([]byte, 3<<20)); err != nil {
		t.Fatal(err)
	}
}

func TestSingleRuns(t *testing.T) {
	ports, err := embednats.StablePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	vars := variables(t)
	vars["NATS_PORT"] = strconv.Itoa(ports[0])
	s := run(t, load(t, "single.conf", vars))
	append3(t, s.ClientURL(), 1)
	if _, err := os.Stat(filepath.Join(vars["NATS_STORE_DIR"], "jetstream", "$G", "streams", "S")); err != nil {
		t.Errorf("the stream is not in NATS_STORE_DIR: %v", err)
	}
}

func TestClusterRuns(t *testing.T) {
	ports, err := embednats.StablePorts(6)
	if err != nil {
		t.Fatal(err)
	}
	vars := variables(t)
	for i, port := range ports[3:] {
		vars[fmt.Sprintf("NATS_ROUTE_%d", i+1)] = (&url.URL{Scheme: "nats", Host: "127.0.0.1:" + strconv.Itoa(port)}).String()
	}
	var first string
	for i := range 3 {
		vars["NATS_NAME"] = fmt.Sprintf("annals-%d", i+1)
		vars["NATS_PORT"] = strconv.Itoa(ports[i])
		vars["NATS_CLUSTER_PORT"] = strconv.Itoa(ports[3+i])
		vars["NATS_STORE_DIR"] = filepath.Join(t.TempDir(), strconv.Itoa(i))
		s := run(t, load(t, "cluster.conf", vars))
		if i == 0 {
			first = s.ClientURL()
		}
	}
	append3(t, first, 3)
}
