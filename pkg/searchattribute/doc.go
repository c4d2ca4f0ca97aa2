// Package searchattribute is the registry of search attributes: which type each
// has, in each namespace.
//
// A type is registered by a decision in the log's control stream, once: by a
// command, or by the first value that says its type. What is registered is the
// fold of that stream (Registry) and nothing else, so that everything that is made
// from the log types a value alike, whenever it is made.
//
// Of several who register one attribute at once the first one wins, by the
// stream's compare-and-set. A type never changes. What does not fit it (a value
// that says another type, or is none of the type; another registration) is a
// conflict: the first of each sort is kept as a decision too, with the position of
// the commit, and none stops anything.
package searchattribute
