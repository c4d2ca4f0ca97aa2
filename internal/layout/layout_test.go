package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/annals-io/annals"

// layers says which packages of this module a package under pkg may import; the
// standard library and other modules are for the rules below. A package under
// pkg that is in no layer fails the test: decide where it stands, and write it
// down here.
var layers = []layer{
	{"pkg/events", nil},
	{"pkg/events/internal/...", []string{"pkg/events", "pkg/events/internal/..."}},
	{"pkg/events/eventjson", []string{"pkg/events"}},
	{"pkg/events/heads", []string{"pkg/events"}},
	{"pkg/events/backup", []string{"pkg/events", "pkg/events/internal/..."}},
	{"pkg/events/natslog", []string{"pkg/events", "pkg/events/internal/...", "pkg/events/backup"}},
	{"pkg/events/memlog", []string{"pkg/events", "pkg/events/internal/..."}},
	{"pkg/events/eventstest", []string{"pkg/events", "pkg/events/internal/...", "pkg/events/memlog", "pkg/events/eventjson"}},
	{"pkg/execution", []string{"pkg/events", "pkg/events/eventjson"}},
	{"pkg/execution/wellformed", []string{"pkg/events"}},
	{"pkg/searchattribute", []string{"pkg/events"}},
	{"pkg/projection", []string{"pkg/events", "pkg/execution", "pkg/searchattribute"}},
	{"pkg/projection/leasestest", []string{"pkg/projection"}},
	{"pkg/projection/postgres", []string{"pkg/events", "pkg/projection", "pkg/searchattribute"}},
	{"pkg/projection/pgstore/...", []string{"pkg/events", "pkg/events/eventjson", "pkg/execution", "pkg/searchattribute", "pkg/projection", "pkg/projection/postgres", "pkg/projection/pgstore/..."}},
	{"pkg/projection/projectiontest", []string{"pkg/events", "pkg/events/eventjson", "pkg/events/memlog", "pkg/execution", "pkg/projection", "pkg/projection/postgres"}},
	{"pkg/replay", []string{"pkg/events", "pkg/events/eventjson", "pkg/execution"}},
	{"pkg/replay/snapshot", []string{"pkg/events", "pkg/execution", "pkg/replay"}},
	{"pkg/telemetry", []string{"pkg/events", "pkg/searchattribute", "pkg/projection"}},
	{"pkg/api/...", []string{"pkg/api/..."}},
	{"pkg/api/...", []string{"pkg/api/..."}},
	{"pkg/store", []string{"pkg/events", "pkg/execution"}},
	{"pkg/store/internal/...", []string{"pkg/events", "pkg/execution", "pkg/replay", "pkg/store"}},
	{"pkg/store/memstore", []string{"pkg/events", "pkg/events/memlog", "pkg/execution", "pkg/projection", "pkg/store", "pkg/store/internal/..."}},
	{"pkg/store/pipeline", []string{"pkg/events", "pkg/projection", "pkg/projection/pgstore", "pkg/projection/postgres", "pkg/store", "pkg/store/internal/..."}},
	{"pkg/store/storetest", []string{"pkg/events", "pkg/events/eventstest", "pkg/execution", "pkg/store"}},
}

type layer struct {
	pkg string
	may []string
}

// rules are what the layers do not say. They hold for everything that a package
// is built from, however far away, but not for its tests.
var rules = []rule{
	{
		name: "NATS only in natslog and wiring",
		of:   []string{"pkg/..."}, but: []string{"pkg/events/natslog"},
		not: []string{"github.com/nats-io/...", "github.com/synadia-io/..."},
	},
	{
		name: "Postgres only in projections' targets and wiring",
		of:   []string{"pkg/..."},
		// A store on the pipeline is a wiring: of a log, which it is given, and the tables.
		but: []string{"pkg/projection/postgres", "pkg/projection/pgstore/...", "pkg/projection/projectiontest", "pkg/store/pipeline"},
		not: []string{"github.com/jackc/...", "github.com/pressly/goose/...", "github.com/lib/pq/...", "database/sql"},
	},
	{
		name: "no server in a user's binary",
		of:   []string{"pkg/..."},
		not: []string{
			"github.com/nats-io/nats-server/...", "github.com/fergusstrange/embedded-postgres/...",
			module + "/internal/embednats/...", module + "/internal/embedpg/...",
		},
	},
	{
		name: "replay does not know projection",
		of:   []string{"pkg/replay/..."}, not: []string{module + "/pkg/projection/..."},
	},
	{
		name: "projection does not know replay",
		of:   []string{"pkg/projection/..."}, not: []string{module + "/pkg/replay/..."},
	},
	{
		name: "pkg knows nothing of the programs",
		of:   []string{"pkg/..."}, not: []string{module + "/internal/...", module + "/cmd/...", module + "/e2e/..."},
	},
	{
		name: "internal knows nothing of the mains",
		of:   []string{"internal/..."}, not: []string{module + "/cmd/...", module + "/e2e/..."},
	},
	{
		name: "test helpers only in tests",
		near: true,
		of:   []string{"pkg/...", "internal/...", "cmd/..."},
		but:  []string{"pkg/events/eventstest", "pkg/projection/leasestest", "pkg/projection/projectiontest", "pkg/store/storetest", "internal/testenv/..."},
		not: []string{
			"testing", module + "/internal/testenv/...",
			module + "/pkg/events/eventstest", module + "/pkg/projection/leasestest", module + "/pkg/projection/projectiontest", module + "/pkg/store/storetest",
			"github.com/google/go-cmp/...", "pgregory.net/rapid", "go.uber.org/goleak", "github.com/rogpeppe/go-internal/testscript",
			"github.com/anishathalye/porcupine", "github.com/Shopify/toxiproxy/...",
		},
	},
}

// baselines are what our figures are held against: they know the client libraries
// and nothing of us, not even by others.
const baselines = "internal/bench/raw"

// clients are what the baselines may import beside the standard library.
var clients = []string{"github.com/nats-io/nats.go/...", "github.com/jackc/pgx/v5/..."}

// rule says what packages must not be built from.
type rule struct {
	name string
	of   []string // packages of this module
	but  []string // of those, not these
	not  []string // any packages
	// near says that the rule is for what this module's packages import, not
	// for what other modules do with it.
	near bool
}

// planned are packages that the rules name before they are there.
var planned []string

// graph is what each package imports, by import path.
type graph map[string][]string

func TestLayout(t *testing.T) {
	g := list(t)
	for _, violation := range check(g, layers, rules) {
		t.Error(violation)
	}
	if !slices.Contains(own(g), baselines) {
		t.Errorf("%s is no package", baselines)
	}
	for _, pattern := range unmatched(g, layers, rules, planned) {
		t.Errorf("%s is in a rule, but is no package: a rule that holds for nothing protects nothing", pattern)
	}
}

// check lists what in g is against the layers and the rules.
func check(g graph, layers []layer, rules []rule) (violations []string) {
	for _, pkg := range own(g) {
		if strings.HasPrefix(pkg, "pkg/") {
			violations = append(violations, checkLayer(g, layers, pkg)...)
		}
		if match(baselines+"/...", pkg) {
			violations = append(violations, checkBaseline(g, pkg)...)
		}
		for _, r := range rules {
			if !matchAny(r.of, pkg) || matchAny(r.but, pkg) {
				continue
			}
			for _, way := range reach(g, module+"/"+pkg, r) {
				violations = append(violations, fmt.Sprintf("%s: %s is built from %s: %s", r.name, pkg, way[len(way)-1], strings.Join(way, " → ")))
			}
		}
	}
	return violations
}

func checkLayer(g graph, layers []layer, pkg string) (violations []string) {
	at := slices.IndexFunc(layers, func(l layer) bool { return match(l.pkg, pkg) })
	if at < 0 {
		return []string{fmt.Sprintf("%s is in no layer", pkg)}
	}
	for _, imported := range g[module+"/"+pkg] {
		if name, ok := strings.CutPrefix(imported, module+"/"); ok && !matchAny(layers[at].may, name) {
			violations = append(violations, fmt.Sprintf("%s imports %s, which is not below it", pkg, name))
		}
	}
	return violations
}

func checkBaseline(g graph, pkg string) (violations []string) {
	for _, imported := range g[module+"/"+pkg] {
		host, _, _ := strings.Cut(imported, "/")
		if strings.Contains(host, ".") && !matchAny(clients, imported) {
			violations = append(violations, fmt.Sprintf("%s imports %s, and a baseline is the client libraries alone", pkg, imported))
		}
	}
	return violations
}

// own lists the packages of this module, by their paths in it.
func own(g graph) (pkgs []string) {
	for pkg := range g {
		if name, ok := strings.CutPrefix(pkg, module+"/"); ok {
			pkgs = append(pkgs, name)
		}
	}
	slices.Sort(pkgs)
	return pkgs
}

// reach finds, for each package that from is built from against the rule, a
// shortest way there. It does not look behind such a package: what that imports
// is its own matter.
func reach(g graph, from string, r rule) (ways [][]string) {
	seen := map[string]bool{from: true}
	for queue := [][]string{{from}}; len(queue) > 0; queue = queue[1:] {
		way := queue[0]
		for _, next := range g[way[len(way)-1]] {
			if seen[next] {
				continue
			}
			seen[next] = true
			longer := append(slices.Clone(way), next)
			switch {
			case matchAny(r.not, next):
				ways = append(ways, longer)
			case !r.near || strings.HasPrefix(next, module+"/"):
				queue = append(queue, longer)
			}
		}
	}
	return ways
}

// unmatched lists the packages of this module that layers and rules name and
// that are not there, but for those that are planned.
func unmatched(g graph, layers []layer, rules []rule, planned []string) (patterns []string) {
	var named []string
	for _, l := range layers {
		named = append(append(named, l.pkg), l.may...)
	}
	for _, r := range rules {
		named = append(append(named, r.of...), r.but...)
		for _, pattern := range r.not {
			if name, ok := strings.CutPrefix(pattern, module+"/"); ok {
				named = append(named, name)
			}
		}
	}
	slices.Sort(named)
	for _, pattern := range slices.Compact(named) {
		there := slices.ContainsFunc(own(g), func(pkg string) bool { return match(pattern, pkg) })
		if !there && !slices.Contains(planned, pattern) {
			patterns = append(patterns, pattern)
		}
	}
	return patterns
}

// match reports whether pkg is the pattern, or, if that ends in /..., lies
// below it.
func match(pattern, pkg string) bool {
	below, ok := strings.CutSuffix(pattern, "/...")
	return pkg == below || ok && strings.HasPrefix(pkg, below+"/")
}

func matchAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return match(pattern, pkg) })
}

// list asks go for all packages that the module is built from.
func list(t *testing.T) graph {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports", module+"/...")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr.Bytes())
	}
	g := make(graph)
	for packages := json.NewDecoder(&stdout); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := packages.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v: %v", cmd, err)
		}
		g[p.ImportPath] = p.Imports
	}
	if len(g[module+"/pkg/events"]) == 0 {
		t.Fatalf("%v listed %d packages, and not what pkg/events imports", cmd, len(g))
	}
	return g
}

// TestCheck tries the rules on made-up graphs.
func TestCheck(t *testing.T) {
	tests := []struct {
		name, why string
		imports   []string // "a b": package a of this module imports b
		want      []string // a part of each violation, in order
	}{
		{"as designed", "every arrow that the design draws", []string{
			"pkg/events go.temporal.io/api", "pkg/events/natslog =pkg/events", "pkg/events/memlog =pkg/events",
			"pkg/events/natslog github.com/nats-io/nats.go", "pkg/execution =pkg/events", "pkg/replay =pkg/execution", "pkg/projection =pkg/execution",
			"pkg/projection/pgstore =pkg/projection", "pkg/projection/pgstore github.com/jackc/pgx/v5",
			"pkg/events/eventstest testing", "internal/testenv testing", "internal/testenv =internal/embedpg",
			"internal/wiring =pkg/events/natslog", "internal/wiring =pkg/projection/pgstore", "internal/embednats github.com/nats-io/nats-server/v2/server",
			"internal/dev =internal/embednats", "cmd/annals =internal/dev",
		}, nil},
		{"testing elsewhere", "what other modules import is not ours to say", []string{"internal/embedpg example.com/x", "example.com/x testing"}, nil},
		{"upwards", "events is the lowest", []string{"pkg/events =pkg/execution"}, []string{"pkg/events imports pkg/execution"}},
		{"upwards, execution", "projection is built on it", []string{"pkg/execution =pkg/projection"}, []string{"pkg/execution imports pkg/projection"}},
		{"to a log", "the fold has no I/O", []string{"pkg/execution =pkg/events/memlog"}, []string{"pkg/execution imports pkg/events/memlog"}},
		{"between logs", "they stand side by side", []string{"pkg/events/natslog =pkg/events/memlog"}, []string{"pkg/events/natslog imports pkg/events/memlog"}},
		{"to its store", "the projector knows an interface", []string{"pkg/projection =pkg/projection/pgstore"}, []string{"pkg/projection imports pkg/projection/pgstore"}},
		{"no layer", "every package has its place", []string{"pkg/util fmt"}, []string{"pkg/util is in no layer"}},
		{
			"replay and projection", "replay never reads the tables",
			[]string{"pkg/replay =pkg/projection"},
			[]string{"pkg/replay imports pkg/projection", "replay does not know projection: pkg/replay is built from"},
		},
		{
			"projection and replay", "nor the other way, over a third package",
			[]string{"pkg/projection example.com/a", "example.com/a example.com/b", "example.com/b =pkg/replay"},
			[]string{"projection does not know replay: pkg/projection is built from " + module + "/pkg/replay: " + module + "/pkg/projection → example.com/a → example.com/b → " + module + "/pkg/replay"},
		},
		{
			"NATS in execution", "NATS is natslog's",
			[]string{"pkg/execution github.com/nats-io/nats.go/jetstream"},
			[]string{"NATS only in natslog and wiring: pkg/execution"},
		},
		{
			"NATS by natslog", "who imports natslog is built from NATS",
			[]string{"pkg/replay =pkg/events/natslog", "pkg/events/natslog github.com/nats-io/nats.go"},
			[]string{"pkg/replay imports pkg/events/natslog", "NATS only in natslog and wiring: pkg/replay"},
		},
		{
			"pgx in projection", "Postgres is pgstore's",
			[]string{"pkg/projection github.com/jackc/pgx/v5/pgxpool"},
			[]string{"Postgres only in projections' targets and wiring: pkg/projection"},
		},
		{
			"a server in natslog", "a client's binary has no server",
			[]string{"pkg/events/natslog github.com/nats-io/nats-server/v2/server"},
			[]string{"no server in a user's binary: pkg/events/natslog"},
		},
		{
			"a server in pgstore", "a client's binary has no server",
			[]string{"pkg/projection/pgstore github.com/fergusstrange/embedded-postgres"},
			[]string{"no server in a user's binary: pkg/projection/pgstore"},
		},
		{
			"our own server", "it is wiring",
			[]string{"pkg/events/natslog =internal/embednats"},
			[]string{"pkg/events/natslog imports internal/embednats", "no server in a user's binary: pkg/events/natslog", "pkg knows nothing of the programs: pkg/events/natslog"},
		},
		{
			"a main", "wiring serves several mains",
			[]string{"internal/wiring =cmd/annals"},
			[]string{"internal knows nothing of the mains: internal/wiring"},
		},
		{
			"a suite", "it is for tests",
			[]string{"pkg/events/memlog =pkg/events/eventstest"},
			[]string{"pkg/events/memlog imports pkg/events/eventstest", "test helpers only in tests: pkg/events/memlog"},
		},
		{"a baseline", "as a stranger writes it", []string{
			baselines + " context", baselines + " github.com/nats-io/nats.go", baselines + " github.com/nats-io/nats.go/jetstream", baselines + " github.com/jackc/pgx/v5/pgxpool",
			"internal/bench =" + baselines,
		}, nil},
		{
			"a baseline of ours", "it would measure us",
			[]string{baselines + " =pkg/events", baselines + " github.com/jackc/pgx/v4", baselines + "/rows google.golang.org/protobuf/proto"},
			[]string{baselines + " imports " + module + "/pkg/events", baselines + " imports github.com/jackc/pgx/v4", baselines + "/rows imports google.golang.org/protobuf/proto"},
		},
		{
			"testing in a program", "it would add its flags",
			[]string{"cmd/annals =internal/cli", "internal/cli testing"},
			[]string{"test helpers only in tests: cmd/annals is built from testing", "test helpers only in tests: internal/cli is built from testing"},
		},
	}
	hit := make(map[string]bool)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := make(graph)
			for _, line := range tt.imports {
				from, to, _ := strings.Cut(line, " ")
				if name, ok := strings.CutPrefix(to, "="); ok {
					to = path.Join(module, name)
				}
				if !strings.Contains(from, ".") {
					from = path.Join(module, from)
				}
				g[from] = append(g[from], to)
			}
			got := check(g, layers, rules)
			if len(got) != len(tt.want) {
				t.Fatalf("%s: got %d violations, want %d:\n%s", tt.why, len(got), len(tt.want), strings.Join(got, "\n"))
			}
			for i := range got {
				if !strings.Contains(got[i], tt.want[i]) {
					t.Errorf("%s: violation %q does not say %q", tt.why, got[i], tt.want[i])
				}
				name, _, _ := strings.Cut(got[i], ":")
				hit[name] = true
			}
		})
	}
	for _, r := range rules {
		if !hit[r.name] {
			t.Errorf("no graph breaks the rule %q", r.name)
		}
	}
}

// TestUnmatched: a rule for a package that is misspelt or gone is found.
func TestUnmatched(t *testing.T) {
	g := graph{module + "/pkg/a": nil, module + "/internal/b/c": nil}
	got := unmatched(g,
		[]layer{{"pkg/a", []string{"pkg/gone"}}, {"pkg/later", nil}},
		[]rule{{of: []string{"pkg/...", "internal/b/..."}, but: []string{"pkg/mispelt"}, not: []string{"example.com/x", module + "/internal/gone/..."}}},
		[]string{"pkg/later"},
	)
	if want := []string{"internal/gone/...", "pkg/gone", "pkg/mispelt"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
