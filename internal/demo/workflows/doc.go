// Package workflows is what the demo's workers run: orders of a shop, its
// subscriptions, and its nightly imports.
//
// The code of the workflows is as an application's would be. The activities
// only pretend: they take some time, and whether a bank or a carrier says no is
// decided by a hash of who asks, so that it is the same after a crash and in
// every demo with the same seed.
package workflows
