// Package projectiontest holds projections to what a projector expects of them.
//
//	func TestOrders(t *testing.T) {
//		projectiontest.Run(t, projectiontest.Subject{
//			Open: projectiontest.OnPostgres(database, definition, handler),
//			Histories: []projectiontest.History{ // what the projection makes rows of
//				{{events.WorkflowStarted("Order", "orders", order)}, {events.Custom("OrderPaid", payment)}, {events.WorkflowCompleted()}},
//			},
//		})
//	}
//
// The suite writes logs of the subject's histories, mixed with histories of its
// own: many runs of a workflow, runs that continue as new, resets, voids, ids that
// SQL could trip over. It hands them over in batches that it chooses, and holds
// that
//
//   - the same log gives the same rows: at another time, on other tables, however
//     it is split into batches, in whatever order the partitions are;
//   - a batch that comes again changes nothing, and is refused;
//   - a batch that was interrupted at any moment is there whole or not at all, and
//     going on from the checkpoint gives the same rows;
//   - what is rolled back leaves nothing, in the tables or in the handler;
//   - of two projectors on the same tables, neither loses, doubles or undoes what
//     the other did;
//   - a workflow whose log cannot be read leaves all others alone;
//   - a workflow that is healed has the rows that it had, and no other lost any;
//   - tables that are rebuilt are the tables that were there, and those of an
//     earlier version are replaced by them.
//
// What it tried is counted and logged.
package projectiontest
