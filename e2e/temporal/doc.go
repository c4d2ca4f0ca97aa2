// Package temporal holds Annals against Temporal: a real server runs workflows
// inside the test, their histories go into Annals, and both are asked the same
// questions. Temporal is the judge.
//
// It is a module of its own, as the server is a heavy dependency. The histories are
// kept in testdata/histories as golden files, with ids and times that are the same
// whenever they are written anew (go test . -update); the tests of the main module
// read them there and need no server.
package temporal
