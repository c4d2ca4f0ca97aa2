package cli

import (
	"github.com/spf13/pflag"

	"github.com/annals-io/annals/pkg/projection/pgstore"
)

// eventsFlag adds the flag that says what tables keep of events, and gives what reads
// it once the command line is.
func eventsFlag(f *pflag.FlagSet) func() (pgstore.EventsMode, error) {
	given := f.String("events", env("ANNALS_EVENTS", ""),
		"what the tables keep of events: index, full (commits whole, and events as JSON) or none; as those do that there are, index in new ones, if it is not given ($ANNALS_EVENTS)")
	return func() (pgstore.EventsMode, error) {
		mode, err := pgstore.ParseEventsMode(*given)
		if err != nil {
			return "", usagef("--events is %q, it is index, full or none", *given)
		}
		return mode, nil
	}
}
