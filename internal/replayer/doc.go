// Package replayer holds a program, in whatever language, against recorded
// histories: it speaks the protocol of docs/replay.md with it, over standard
// input and output, and has package replay compare.
//
// A process is asked about one history after the other; several run side by
// side. One that dies, hangs, or answers what is no answer is killed, the
// history that it was asked about is not checked, and the next one gets a new
// process.
package replayer
