// Package telemetry measures logs and projections by OpenTelemetry.
//
// Log and Target wrap a log and a projection's tables so that what passes through
// them is measured, with the providers of the program that uses them; Lag,
// Projector, Heartbeats, Control, SearchAttributes, Membership and Durability are
// figures that somebody asks for. What is not wrapped costs nothing, no other package of the library knows of this one, and it imports
// no more of OpenTelemetry than its API.
//
//	log, err := telemetry.Log(log, telemetry.Providers{Tracer: tracers, Meter: meters})
//
// # Traces
//
// An append is a span, a child of the call that it is part of, and its context is
// stored with the commit as W3C's traceparent. A projection's batch is a span of
// its own, linked to the spans of its producers. A read is a span. Where no
// exporter is configured there are no spans, and a traceparent that came in with
// a call is stored with the commit all the same.
//
// # Metrics
//
//	annals.appends               {append}  by outcome
//	annals.append.duration       s         by outcome
//	annals.append.events         {event}   stored
//	annals.heartbeats            {heartbeat}  by outcome
//	annals.projection.events     {event}   by partition
//	annals.projection.batch.duration  s         by outcome; folding and writing
//	annals.projection.batch.commits   {commit}
//	annals.projection.lag.commits     {commit}  by partition
//	annals.projection.lag             s         by partition; age of the oldest commit not projected
//	annals.projection.stopped              by partition; 1 if it has stopped
//	annals.projection.quarantined     {workflow}  by partition; that wait, and subjects that are no workflow's
//	annals.projection.quarantined.commits  {commit}  by partition; of theirs, that are not in the tables
//	annals.projection.quarantines     {workflow}  by partition and kind; made by this process
//	annals.projection.waiting         s         by partition; since when it waits for the log or the tables, 0 if it does not
//	annals.projection.heartbeats.lag      {heartbeat}  the most that may not be in the tables
//	annals.projection.heartbeats.passed   {heartbeat}  no heartbeats, or refused by the tables
//	annals.projection.heartbeats.stopped   1 if they are kept no more
//	annals.projection.leases         {lease}  by lease; 1 for each that this process holds
//	annals.projection.members        {process}  that share the work
//	annals.projection.leases.taken   {lease}
//	annals.projection.leases.taken_over  {lease}  those of them that another had let expire
//	annals.projection.leases.lost    {lease}  that expired while this process worked on them
//	annals.projection.leases.failures  {attempt}  to renew or take leases, failed
//	annals.projection.control.lag         {decision}  of the control stream, that the tables do not have
//	annals.projection.control.passed      {message}  no decisions, or of an unknown kind
//	annals.projection.control.stopped      1 if the registry is kept no more
//	annals.search_attributes.registered   {attribute}  by this process
//	annals.search_attributes.conflicts    {value}  that do not fit their attribute's type
//	annals.search_attributes.refused      {value}  under names that cannot be registered
//	annals.log.durability                  by mode (always, interval, unknown); 1 for the one that it is
//	annals.log.replicas          {replica}  of the streams, the fewest that one has; absent: not known
//
// Outcomes of an append: stored, existed, conflict, closed, not_found, invalid,
// limit, commit_id_reused, unknown, unavailable, corrupt, wrong_log, error. Those
// of a heartbeat: newest, older, and what an append's errors are called: invalid,
// limit, unknown, unavailable, corrupt, wrong_log, error. What the caller did
// wrong is thus apart from an outage. Those of a batch: written, fenced, failed.
// No label holds a workflow, a run, an activity, a commit or a namespace.
//
// On /metrics, dots are underscores, counters end in _total and times in
// _seconds.
package telemetry
