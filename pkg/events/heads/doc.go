// Package heads records where a log was, in a file that is kept where the log's
// administrators cannot write, and holds the log against it later.
//
// A chain of hashes proves what lies between two commits that somebody trusts;
// it proves nothing about a log whose end was cut off, or whose commits were
// replaced by others with right hashes. A file of heads is the anchor outside:
// whatever was changed before its heads, by whatever means, is found, and placed
// as far as the file's windows and workflows tell.
//
// The file's form is open: docs/heads.md. It is written and read in one pass
// each; a file without workflows needs no memory that grows with the log, one
// with workflows that of one partition's.
package heads
