// Package cli is the command lines of annals and projector.
//
// Data goes to standard output, logs and progress to standard error. Exit
// codes: 0 done; 1 the answer is no (a difference, a conflict, not found, some
// refused); 2 wrong usage; 3 could not do it.
//
// Each command is a file. It gets what it shares with the others (streams,
// servers, namespace, output format) from an app, connects only to what it
// needs, and returns an error that says which exit code it is (errors.go).
package cli
