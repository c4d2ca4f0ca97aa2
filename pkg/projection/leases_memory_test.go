package projection_test

import (
	"strconv"
	"testing"

	"github.com/annals-io/annals/pkg/projection"
	"github.com/annals-io/annals/pkg/projection/leasestest"
)

func TestMemoryLeases(t *testing.T) {
	t.Parallel()
	leasestest.Run(t, func(*testing.T) func() projection.Leases {
		leases := projection.NewMemoryLeases(leasestest.TTL)
		members := 0
		return func() projection.Leases {
			members++
			return leases.Of("member-" + strconv.Itoa(members))
		}
	})
}
