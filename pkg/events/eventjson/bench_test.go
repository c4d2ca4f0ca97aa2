package eventjson_test

import (
	"strings"
	"testing"

	"github.com/annals-io/annals/pkg/events/eventjson"
)

// bigHistory is 1,000 events of about 400 bytes, as an SDK's history looks.
func bigHistory() []byte {
	const e = `{"eventId":"1","eventTime":"2020-12-10T18:54:05.627515990Z","eventType":"EVENT_TYPE_ACTIVITY_TASK_SCHEDULED","taskId":"4195113",
		"activityTaskScheduledEventAttributes":{"activityId":"7","activityType":{"name":"charge"},"taskQueue":{"name":"orders","kind":"TASK_QUEUE_KIND_NORMAL"},
		"input":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"eyJvcmRlciI6N30="}]},"startToCloseTimeout":"90s","workflowTaskCompletedEventId":"4"}},`
	return []byte(`{"events":[` + strings.TrimSuffix(strings.Repeat(e, 1000), ",") + `]}`)
}

func BenchmarkDecode(b *testing.B) {
	data := bigHistory()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, _, err := eventjson.Decode(data, eventjson.Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkEncode(b *testing.B) {
	evs, _, err := eventjson.Decode(bigHistory(), eventjson.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := eventjson.Encode(evs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
