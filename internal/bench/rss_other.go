//go:build !linux

package bench

func forgetPeakRSS() {}

// peakRSS is 0: not known.
func peakRSS() int64 { return 0 }
