//go:build !linux

package scratch

// memory finds nothing: only Linux has a file system in memory at a known place.
func memory() (dir string, ok bool) { return "", false }
