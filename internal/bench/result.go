package bench

import (
	"math"
	"slices"
	"time"
)

// Result is one case, measured.
type Result struct {
	Name string `json:"name"`
	// Value is ours and Raw the client libraries', in Unit: medians of the
	// rounds, or of all operations where it is a time.
	Value float64 `json:"value"`
	Raw   float64 `json:"raw"`
	Unit  string  `json:"unit"`
	// Ratio is Value by Raw for a rate, Raw by Value for a time: over 1 is
	// better than raw.
	Ratio float64 `json:"ratio"`
	// P50 and P99 are what one operation of ours took, RawP50 and RawP99 one of
	// the client libraries', in milliseconds, over all rounds.
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
	RawP50 float64 `json:"raw_p50_ms"`
	RawP99 float64 `json:"raw_p99_ms"`
	// N is how many operations of ours were measured; of tables: how many events
	// the log has, and one operation is to make all of them.
	N int `json:"n"`
	// CPU is what one event took of all processes together, in microseconds of
	// one core; 0: not known. It says more than the rate where other work shares
	// the machine.
	CPU    float64 `json:"cpu_us,omitempty"`
	RawCPU float64 `json:"raw_cpu_us,omitempty"`
	// PeakRSS is the most memory that this process had while ours worked, in
	// bytes: Postgres apart, everything else included. 0: not known.
	PeakRSS int64 `json:"peak_rss_bytes,omitempty"`
	// Bytes is what the tables take that ours made; nil where none are made.
	Bytes *TableBytes `json:"table_bytes,omitempty"`
	// Indexes are those by which Postgres answers a query, in the order of its plan;
	// empty: it reads a table from end to end, or it is no query.
	Indexes []string `json:"indexes,omitempty"`
	// Plan is that plan, the lines of EXPLAIN without costs.
	Plan []string `json:"plan,omitempty"`
}

// TableBytes is what tables take on the disk, free space in them included. Those that
// have a row an event or a commit are counted by the event, all others by the execution.
type TableBytes struct {
	Execution        float64 `json:"execution"`
	ExecutionIndexes float64 `json:"execution_indexes"`
	Event            float64 `json:"event"`
	EventIndexes     float64 `json:"event_indexes"`
}

// rates is the result of a case that is measured as operations a second.
func rates(name, unit string, ours, raw side) Result {
	r := Result{Name: name, Value: median(ours.rates), Raw: median(raw.rates), Unit: unit, N: len(ours.took)}
	r.Ratio = r.Value / r.Raw
	slices.Sort(ours.took)
	slices.Sort(raw.took)
	r.P50, r.P99 = quantile(ours.took, 0.50), quantile(ours.took, 0.99)
	r.RawP50, r.RawP99 = quantile(raw.took, 0.50), quantile(raw.took, 0.99)
	return r
}

// times is the result of a case that is measured as how long operations took.
func times(name string, ours, raw []time.Duration) Result {
	slices.Sort(ours)
	slices.Sort(raw)
	r := Result{
		Name: name, Unit: "ms", N: len(ours), P50: quantile(ours, 0.50), P99: quantile(ours, 0.99),
		RawP50: quantile(raw, 0.50), RawP99: quantile(raw, 0.99),
	}
	r.Value, r.Raw = r.P50, r.RawP50
	r.Ratio = r.Raw / r.Value
	return r
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// quantile is the q-th of rising durations, in milliseconds.
func quantile(rising []time.Duration, q float64) float64 {
	at := int(math.Ceil(q*float64(len(rising)))) - 1
	return float64(rising[max(at, 0)]) / float64(time.Millisecond)
}
