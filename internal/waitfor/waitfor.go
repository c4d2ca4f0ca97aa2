// Package waitfor reads what a person or a client says that a query is to wait
// for.
package waitfor

import (
	"strconv"
	"strings"

	"github.com/annals-io/annals/pkg/events"
)

// Now is the end of the log when the query begins.
const Now = "now"

// Parse reads positions, vectors and Now, separated by commas in each text, and
// merges them. It fails with events.ErrInvalid (*events.InvalidError, of the field
// waitFor) on anything else, and with events.ErrWrongLog if they are of different
// logs.
func Parse(texts ...string) (v events.Vector, now bool, err error) {
	for _, text := range texts {
		if text == "" {
			continue
		}
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item == Now {
				now = true
				continue
			}
			one, err := events.ParseVector(item)
			if err != nil || item == "" {
				return events.Vector{}, false, &events.InvalidError{Field: "waitFor", Reason: fault(item)}
			}
			if v, err = v.Merge(one); err != nil {
				return events.Vector{}, false, err
			}
		}
	}
	return v, now, nil
}

func fault(item string) string {
	const most = 40
	if len(item) > most {
		item = strings.ToValidUTF8(item[:most], "") + "…"
	}
	return "holds " + strconv.Quote(item) + ", want " + Now + ", a position like 3:1042, or what an append gave as its vector"
}
