// Package wellformed checks histories against the rules that Temporal's own
// histories keep to.
//
// The log takes less for granted: it stores what an engine writes, if its event
// ids are dense and nothing follows a closing event. Whoever writes an engine
// asks this package, in the tests, whether a replayer and Temporal's tools will
// understand its histories.
//
// The rules are [Rules], each with a name, a sentence and what real histories
// except from it. Rules about workflow tasks and what they decide are asked only
// of histories that have workflow tasks: an engine without them, which records
// activities, timers or facts of its own, is as well formed without.
//
// [Check] reads a history once, holds one small entry an event, and does no I/O.
package wellformed
