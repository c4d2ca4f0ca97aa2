// Package raw is the work of a benchmark done with the client libraries alone,
// as somebody would write it who has never heard of Annals: it is what our own
// figures are held against. It imports nothing of this module and is neither
// tuned nor slowed down.
package raw
