package pgstore

import (
	"slices"
	"strings"
)

// table describes one of the tables in sql/tables.sql: what is written, read
// back and verified. A test holds it against the database's own description.
type table struct {
	name    string // without a schema
	key     []column
	columns []column // without the key
}

type column struct{ name, pgType string }

// all is the key and the columns, in the order in which rows hold them.
func (t *table) all() []column { return append(append([]column(nil), t.key...), t.columns...) }

// column is the one at a place of all.
func (t *table) column(i int) column {
	if i < len(t.key) {
		return t.key[i]
	}
	return t.columns[i-len(t.key)]
}

// columnNames joins the names of columns, each behind a prefix.
func columnNames(cs []column, prefix string) string {
	var b strings.Builder
	for i, c := range cs {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(prefix)
		b.WriteString(c.name)
	}
	return b.String()
}

var workflowKey = []column{{"slot", "smallint"}, {"namespace", "text"}, {"workflow_id", "text"}}

func runKey(extra ...column) []column {
	k := append(append([]column(nil), workflowKey...), column{"run_id", "text"})
	return append(k, extra...)
}

var executionsTable = &table{
	name: "executions",
	key:  runKey(),
	columns: []column{
		{"status", "text"},
		{"workflow_type", "text"},
		{"task_queue", "text"},
		{"identity", "text"},
		{"start_time", "timestamptz"},
		{"execution_time", "timestamptz"},
		{"close_time", "timestamptz"},
		{"execution_duration", "bigint"},
		{"updated_at", "timestamptz"},
		{"execution_timeout", "interval"},
		{"run_timeout", "interval"},
		{"task_timeout", "interval"},
		{"retry_policy", "jsonb"},
		{"cron_schedule", "text"},
		{"priority", "jsonb"},
		{"attempt", "integer"},
		{"memo", "jsonb"},
		{"search_attributes", "jsonb"},
		{"search_values", "jsonb"},
		{"untyped_attributes", "text[]"},
		{"parent_namespace", "text"},
		{"parent_workflow_id", "text"},
		{"parent_run_id", "text"},
		{"root_workflow_id", "text"},
		{"root_run_id", "text"},
		{"first_run_id", "text"},
		{"original_run_id", "text"},
		{"continued_from_run_id", "text"},
		{"continued_to_run_id", "text"},
		{"reset_from_run_id", "text"},
		{"cancel_requested", "boolean"},
		{"pause", "jsonb"},
		{"last_failure", "text"},
		{"last_failure_causes", "text[]"},
		{"close_reason", "text"},
		{"expiration_time", "timestamptz"},
		{"workflow_task_failures", "bigint"},
		{"pending_activities", "integer"},
		{"pending_timers", "integer"},
		{"pending_children", "integer"},
		{"pending_nexus_operations", "integer"},
		{"pending_updates", "integer"},
		{"signals", "bigint"},
		{"change_versions", "text[]"},
		{"build_ids", "text[]"},
		{"build_id", "text"},
		{"deployment", "text"},
		{"versioning_behavior", "text"},
		{"sdk_name", "text"},
		{"sdk_version", "text"},
		{"history_length", "bigint"},
		{"history_size_bytes", "bigint"},
		{"unknown_events", "bigint"},
		{"missing_references", "bigint"},
		{"run_no", "bigint"},
		{"partition", "smallint"},
		{"first_sequence", "bigint"},
		{"last_sequence", "bigint"},
		{"state", "bytea"},
	},
}

var workflowsTable = &table{
	name: "workflows",
	key:  workflowKey,
	columns: []column{
		{"run_id", "text"},
		{"runs", "bigint"},
		{"partition", "smallint"},
		{"first_sequence", "bigint"},
		{"last_sequence", "bigint"},
		{"last_hash", "bytea"},
	},
}

var activitiesTable = &table{
	name: "activities",
	key:  runKey(column{"scheduled_event_id", "bigint"}),
	columns: []column{
		{"activity_id", "text"},
		{"activity_type", "text"},
		{"task_queue", "text"},
		{"status", "text"},
		{"scheduled_time", "timestamptz"},
		{"started_event_id", "bigint"},
		{"started_time", "timestamptz"},
		{"attempt", "integer"},
		{"cancel_requested", "boolean"},
		{"worker_identity", "text"},
		{"schedule_to_close_timeout", "interval"},
		{"schedule_to_start_timeout", "interval"},
		{"start_to_close_timeout", "interval"},
		{"heartbeat_timeout", "interval"},
		{"closed_event_id", "bigint"},
		{"close_time", "timestamptz"},
		{"last_failure", "text"},
		{"last_failure_causes", "text[]"},
		{"maximum_attempts", "integer"},
		{"retry_state", "text"},
	},
}

var timersTable = &table{
	name: "timers",
	key:  runKey(column{"started_event_id", "bigint"}),
	columns: []column{
		{"timer_id", "text"},
		{"status", "text"},
		{"started_time", "timestamptz"},
		{"fire_time", "timestamptz"},
		{"closed_event_id", "bigint"},
		{"close_time", "timestamptz"},
	},
}

var childrenTable = &table{
	name: "children",
	key:  runKey(column{"initiated_event_id", "bigint"}),
	columns: []column{
		{"child_namespace", "text"},
		{"child_workflow_id", "text"},
		{"child_run_id", "text"},
		{"child_type", "text"},
		{"task_queue", "text"},
		{"parent_close_policy", "text"},
		{"status", "text"},
		{"initiated_time", "timestamptz"},
		{"started_event_id", "bigint"},
		{"started_time", "timestamptz"},
		{"closed_event_id", "bigint"},
		{"close_time", "timestamptz"},
		{"failure", "text"},
	},
}

var nexusOperationsTable = &table{
	name: "nexus_operations",
	key:  runKey(column{"scheduled_event_id", "bigint"}),
	columns: []column{
		{"endpoint", "text"},
		{"service", "text"},
		{"operation", "text"},
		{"request_id", "text"},
		{"operation_token", "text"},
		{"status", "text"},
		{"scheduled_time", "timestamptz"},
		{"started_event_id", "bigint"},
		{"started_time", "timestamptz"},
		{"schedule_to_close_timeout", "interval"},
		{"schedule_to_start_timeout", "interval"},
		{"start_to_close_timeout", "interval"},
		{"cancel_requested", "boolean"},
		{"cancel_requested_time", "timestamptz"},
		{"cancel_delivered", "boolean"},
		{"cancel_failure", "text"},
		{"closed_event_id", "bigint"},
		{"close_time", "timestamptz"},
		{"failure", "text"},
		{"failure_causes", "text[]"},
	},
}

var updatesTable = &table{
	name: "updates",
	key:  runKey(column{"event_id", "bigint"}),
	columns: []column{
		{"update_id", "text"},
		{"update_name", "text"},
		{"status", "text"},
		{"identity", "text"},
		{"admitted_time", "timestamptz"},
		{"accepted_event_id", "bigint"},
		{"accepted_time", "timestamptz"},
		{"request_ids", "text[]"},
		{"closed_event_id", "bigint"},
		{"close_time", "timestamptz"},
		{"failure", "text"},
		{"failure_causes", "text[]"},
	},
}

var signalsTable = &table{
	name: "signals",
	key:  runKey(column{"event_id", "bigint"}),
	columns: []column{
		{"signal_name", "text"},
		{"time", "timestamptz"},
		{"identity", "text"},
		{"request_id", "text"},
		{"sender_workflow_id", "text"},
		{"sender_run_id", "text"},
	},
}

var externalRequestsTable = &table{
	name: "external_requests",
	key:  runKey(column{"initiated_event_id", "bigint"}),
	columns: []column{
		{"kind", "text"},
		{"status", "text"},
		{"target_namespace", "text"},
		{"target_workflow_id", "text"},
		{"target_run_id", "text"},
		{"signal_name", "text"},
		{"reason", "text"},
		{"child_workflow_only", "boolean"},
		{"initiated_time", "timestamptz"},
		{"closed_event_id", "bigint"},
		{"close_time", "timestamptz"},
		{"failed_cause", "text"},
	},
}

// runEventsTable names the run of an event by its number, see run.number.
var runEventsTable = &table{
	name: "run_events",
	key:  []column{{"slot", "smallint"}, {"event_id", "integer"}, {"run_no", "bigint"}},
	columns: []column{
		{"sequence", "bigint"},
		{"time", "timestamptz"},
		{"type", "text"},
		{"name", "text"},
	},
}

// eventsView is the view that names the run as the other tables do.
const eventsView = "events"

// tables are all that are made from the log, in the order in which the rows of a
// workflow are removed.
var tables = []*table{runEventsTable, executionsTable, workflowsTable, activitiesTable, timersTable, childrenTable, nexusOperationsTable, updatesTable, signalsTable, externalRequestsTable}

// commitsTable is there with EventsFull only.
var commitsTable = &table{
	name: "commits",
	key:  []column{{"slot", "smallint"}, {"sequence", "bigint"}},
	columns: []column{
		{"partition", "smallint"},
		{"stored_at", "timestamptz"},
		{"namespace", "text"},
		{"workflow_id", "text"},
		{"headers", "jsonb"},
		{"body", "bytea"},
		{"events", "jsonb"},
	},
}

// eventJSONView is the view of events with all that they hold, with EventsFull only.
const eventJSONView = "event_json"

// allTables are those of every mode.
var allTables = append(slices.Clone(tables), commitsTable)

// tablesOf are those of a mode.
func tablesOf(mode EventsMode) []*table {
	if mode == EventsFull {
		return allTables
	}
	return tables
}
