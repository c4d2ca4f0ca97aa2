package natslog

import (
	"errors"
	"testing"

	"github.com/annals-io/annals/pkg/events/internal/subjectlog"
)

// TestAnswers holds what each answer of a server means for an append.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		why, answer string
		seq         uint64
		is          error // nil with seq 0: unknown
		rejected    bool
	}{
		{"as a server writes it", `{"stream":"ANNALS_00","seq":42}`, 42, nil, false},
		{"with a space", `{"stream":"ANNALS_00", "seq": 42}`, 42, nil, false},
		{"written otherwise", `{"seq":42,"stream":"ANNALS_00"}`, 42, nil, false},
		{"with a domain", `{"stream":"ANNALS_00","domain":"hub","seq":42}`, 42, nil, false},
		{"the largest", `{"stream":"ANNALS_00","seq":18446744073709551615}`, 18446744073709551615, nil, false},
		{"of another stream", `{"stream":"ANNALS_01","seq":42}`, 0, nil, false},
		{"of a longer name", `{"stream":"ANNALS_000","seq":42}`, 0, nil, false},
		{"without a sequence", `{"stream":"ANNALS_00","seq":0}`, 0, nil, false},
		{"with more behind it", `{"stream":"ANNALS_00","seq":4}2}`, 0, nil, false},
		{"of somebody else", `hello`, 0, nil, false},
		{"empty", ``, 0, nil, false},
		{"the subject has moved", `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 7"},"stream":"ANNALS_00","seq":0}`, 0, subjectlog.ErrMoved, false},
		{"something is in flight", `{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"},"stream":"ANNALS_00"}`, 0, subjectlog.ErrBusy, false},
		{"the same is in flight", `{"error":{"code":409,"err_code":10158,"description":"duplicate message id is in process"}}`, 0, subjectlog.ErrBusy, false},
		{"too large", `{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}}`, 0, nil, true},
		{"no room", `{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}`, 0, nil, true},
		{"a disk that failed", `{"error":{"code":503,"err_code":10077,"description":"write /data: no space left on device"}}`, 0, nil, false},
		{"no leader", `{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`, 0, nil, false},
	} {
		seq, err := parseAck([]byte(c.answer), "ANNALS_00")
		if seq != c.seq || (err == nil) != (c.seq != 0) {
			t.Errorf("%s: gave %d, %v", c.why, seq, err)
		}
		var rejected *subjectlog.RejectedError
		if errors.As(err, &rejected) != c.rejected {
			t.Errorf("%s: gave %v, rejected for good: %t", c.why, err, c.rejected)
		}
		for _, known := range []error{subjectlog.ErrMoved, subjectlog.ErrBusy, subjectlog.ErrNotSent, subjectlog.ErrClosed} {
			if want := c.is != nil && errors.Is(c.is, known); errors.Is(err, known) != want {
				t.Errorf("%s: gave %v, want %v", c.why, err, c.is)
			}
		}
	}
}
