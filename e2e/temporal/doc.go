// Package temporal holds Annals against Temporal: a real server runs workflows
// inside the test, their histories go into Annals, and both are asked the same
// questions. Temporal is the judge.
//
// It is a module of its own, as the server is a heavy dependency: .ci/run judge
// builds and runs it. It is to be run without the race detector, whose compilation
// of the server takes longer than all other tests.
//
// The program annals, built of the main module, imports a server's workflows and follows
// it, is killed and started again; what it made of them is held against the server.
//
// # Golden histories
//
// The scenarios' histories are kept in testdata/histories; the tests of the main
// module read them there and need no server. go test . -update writes them anew. What
// is the same each time: ids of runs and requests, by the order in which they come;
// the times of events, by the number of the run and the place in it; tokens, sizes,
// task ids, names of namespace and host, and how long a start waits, to the second.
// Reset points of earlier runs, and stack traces, are left out.
//
// What is not, as the server and its workers race for it: whether outcomes that come
// about at once are seen in one workflow task or in two (scenarios parent, nexus); and, on a
// machine that takes a second to take up a task, whether a workflow has its first task
// before it is canceled, terminated or out of time (workflow timeout, parent, nexus). A
// workflow task more gives the scenario's later ids other numbers. So a difference
// between what was kept and what a run of today gives is no failure, but for how a run
// ends, and for which runs there are.
package temporal
