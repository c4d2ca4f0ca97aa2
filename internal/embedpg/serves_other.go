//go:build !linux

package embedpg

import "syscall"

// serves says whether process pid may be a server of the cluster: whether it lives.
func serves(pid int, _ string) bool {
	return pid > 0 && syscall.Kill(pid, 0) == nil
}
