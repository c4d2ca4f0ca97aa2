// Package temporalfake answers the two calls by which Temporal's runs are read, for
// tests of what a real server cannot be brought to do: to ask for less, to lose page
// tokens, to deny, to have forgotten a run. What a real server does is asked of a real
// one, in e2e/temporal.
package temporalfake
