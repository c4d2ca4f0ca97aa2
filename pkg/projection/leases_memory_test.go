package projection_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/leasestest"
)

func TestMemoryLeases(t *testing.T) {
	t.Parallel()
	leasestest.Run(t, func(_ *testing.T, ttl time.Duration) func() projection.Leases {
		leases := projection.NewMemoryLeases(ttl)
		members := 0
		return func() projection.Leases {
			members++
			return leases.Of("member-" + strconv.Itoa(members))
		}
	})
}
