//go:build !linux

package demo

import "syscall"

// tie is left to the worker, whose standard input ends with this process.
func tie(*syscall.SysProcAttr) {}
