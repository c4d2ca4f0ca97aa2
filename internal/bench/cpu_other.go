//go:build !linux

package bench

import "time"

// cpu is what this process and a server's have computed; not known here.
type cpu struct{ self, server time.Duration }

func (c cpu) since(cpu) cpu { return cpu{} }

func cpuOf(int) cpu { return cpu{} }
