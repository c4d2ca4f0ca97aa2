package embedpg

import (
	"fmt"
	"os"
)

// serves says whether process pid is a server of the cluster: postgres changes into it. A process whose
// folder this user may not read runs as another user, and is none of ours.
func serves(pid int, cluster string) bool {
	if pid <= 0 {
		return false
	}
	at, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return false
	}
	dir, err := os.Stat(cluster)
	return err == nil && os.SameFile(at, dir)
}
