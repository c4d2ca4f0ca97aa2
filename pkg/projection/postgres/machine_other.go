//go:build !linux

package postgres

// machine is where a process's number means something: that cannot be told here.
func machine() string { return "" }

// gone reports whether there is no process of a number here.
func gone(int) bool { return false }
