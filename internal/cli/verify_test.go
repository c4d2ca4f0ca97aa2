package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/annals-io/annals/pkg/projection/pgstore"
	"github.com/annals-io/annals/pkg/replay"
)

// Differences beyond those that reports list are counted, and are differences.
func TestDifferencesThatAreNotListed(t *testing.T) {
	v := verification(
		replay.LogReport{Differences: []replay.Difference{{Kind: replay.KindGap}}, Unlisted: 2},
		pgstore.VerifyReport{Rows: map[string]int64{"events": 1}, Unlisted: 40},
	)
	var out bytes.Buffer
	a := newApp(Streams{Out: &out})
	o := &output{format: formatJSON}
	err := a.printVerified(o, v)
	if err == nil || err.Error() != "43 differences" || exitCode(err) != exitNo {
		t.Errorf("the error is %v, exit code %d", err, exitCode(err))
	}
	var got struct{ Unlisted int64 }
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Unlisted != 42 {
		t.Errorf("unlisted %d, %v; want 42", got.Unlisted, err)
	}
	out.Reset()
	o.format = formatTable
	_ = a.printVerified(o, v)
	for _, want := range []string{"differences     43\n", "not listed      42\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}
