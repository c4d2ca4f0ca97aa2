// Package testenv gives tests real servers, each test apart from the others.
//
// A test binary starts each kind of server when the first test asks for it, and keeps it for all its
// tests: what differs is the account, on NATS, and the database, on PostgreSQL. So a test has streams
// and tables to itself, may run in parallel with others, and costs a few milliseconds (a database: some
// twenty).
//
// A package that uses testenv has
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
//
// which stops the servers after the tests and then fails the run if a goroutine is left.
//
// A server that cannot be started fails the test, with what can be done about it. Nothing is skipped.
// Nothing is left behind either, even if the test binary is killed: see packages scratch and embedpg.
package testenv
