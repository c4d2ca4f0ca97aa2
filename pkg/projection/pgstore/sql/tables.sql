-- The tables that are made from the log. Their version is pgstore.Version: a
-- change of their shape or meaning raises it and asks for a rebuild.
--
-- Every key begins with the slot of the workflow (FNV-1a 32 of namespace, NUL
-- and workflow id, modulo 1,024), so that the tables can be spread over
-- databases later. Texts are compared and ordered byte by byte, whatever the
-- database's collation is. Times are those of the events, to the microsecond. A
-- NUL in a text stands as U+FFFD here; the log has it as it was.
--
-- The keys here are those by which the projector updates rows and reads them
-- back. Rows of events and signals are written once: their keys are made with the
-- indexes.

CREATE TABLE executions (
    slot                       smallint    NOT NULL CHECK (slot BETWEEN 0 AND 1023),
    namespace                  text COLLATE "C" NOT NULL,
    workflow_id                text COLLATE "C" NOT NULL,
    run_id                     text COLLATE "C" NOT NULL,
    status                     text COLLATE "C" NOT NULL CHECK (status IN ('Running', 'Paused', 'Completed', 'Failed', 'Canceled', 'Terminated', 'ContinuedAsNew', 'TimedOut')),
    workflow_type              text COLLATE "C" NOT NULL,
    task_queue                 text COLLATE "C" NOT NULL,
    identity                   text COLLATE "C" NOT NULL,
    start_time                 timestamptz,
    execution_time             timestamptz,
    close_time                 timestamptz,
    execution_duration         bigint,
    updated_at                 timestamptz,
    execution_timeout          interval,
    run_timeout                interval,
    task_timeout               interval,
    retry_policy               jsonb,
    cron_schedule              text COLLATE "C" NOT NULL,
    priority                   jsonb,
    attempt                    integer     NOT NULL,
    memo                       jsonb,
    search_attributes          jsonb,
    search_values              jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(search_values) = 'object'),
    untyped_attributes         text[],
    parent_namespace           text COLLATE "C",
    parent_workflow_id         text COLLATE "C",
    parent_run_id              text COLLATE "C",
    root_workflow_id           text COLLATE "C" NOT NULL,
    root_run_id                text COLLATE "C" NOT NULL,
    first_run_id               text COLLATE "C" NOT NULL,
    original_run_id            text COLLATE "C" NOT NULL,
    continued_from_run_id      text COLLATE "C",
    continued_to_run_id        text COLLATE "C",
    reset_from_run_id          text COLLATE "C",
    cancel_requested           boolean     NOT NULL,
    pause                      jsonb,
    last_failure               text COLLATE "C",
    last_failure_causes        text[],
    close_reason               text COLLATE "C",
    expiration_time            timestamptz,
    workflow_task_failures     bigint      NOT NULL,
    pending_activities         integer     NOT NULL,
    pending_timers             integer     NOT NULL,
    pending_children           integer     NOT NULL,
    pending_nexus_operations   integer     NOT NULL,
    pending_updates            integer     NOT NULL,
    signals                    bigint      NOT NULL,
    change_versions            text[],
    build_ids                  text[],
    build_id                   text COLLATE "C",
    deployment                 text COLLATE "C",
    versioning_behavior        text COLLATE "C",
    sdk_name                   text COLLATE "C",
    sdk_version                text COLLATE "C",
    history_length             bigint      NOT NULL CHECK (history_length > 0),
    history_size_bytes         bigint      NOT NULL CHECK (history_size_bytes > 0),
    unknown_events             bigint      NOT NULL,
    missing_references         bigint      NOT NULL,
    run_no                     bigint      NOT NULL,
    partition                  smallint    NOT NULL,
    first_sequence             bigint      NOT NULL CHECK (first_sequence > 0),
    last_sequence              bigint      NOT NULL,
    state                      bytea,
    PRIMARY KEY (slot, namespace, workflow_id, run_id),
    CONSTRAINT open_runs_have_a_state      CHECK ((status IN ('Running', 'Paused')) = (state IS NOT NULL)),
    CONSTRAINT open_runs_are_not_closed    CHECK (status NOT IN ('Running', 'Paused') OR close_time IS NULL),
    CONSTRAINT closed_runs_have_durations  CHECK (execution_duration IS NULL OR close_time IS NOT NULL),
    CONSTRAINT sequences_rise              CHECK (first_sequence <= last_sequence),
    CONSTRAINT parents_are_whole           CHECK ((parent_workflow_id IS NULL) = (parent_run_id IS NULL))
)
-- A run is updated until it is closed: room on its page spares the indexes
-- a new entry each time.
WITH (fillfactor = 70);
COMMENT ON TABLE  executions IS 'One row a run.';
COMMENT ON INDEX  executions_pkey IS 'A run is there once. describe; the projector reads a run back and updates it; heal.';
COMMENT ON COLUMN executions.slot                     IS 'Of the workflow.';
COMMENT ON COLUMN executions.namespace                IS 'Of the workflow.';
COMMENT ON COLUMN executions.workflow_id              IS 'Of the workflow.';
COMMENT ON COLUMN executions.run_id                   IS 'Unique within its workflow only.';
COMMENT ON COLUMN executions.status                   IS 'As Temporal names it; Running and Paused are open.';
COMMENT ON COLUMN executions.workflow_type            IS 'Empty if the start event named none.';
COMMENT ON COLUMN executions.task_queue               IS 'Empty if the start event named none.';
COMMENT ON COLUMN executions.identity                 IS 'Of the client that started the run.';
COMMENT ON COLUMN executions.start_time               IS 'Of the start event.';
COMMENT ON COLUMN executions.execution_time           IS 'start_time and the first workflow task''s backoff.';
COMMENT ON COLUMN executions.close_time               IS 'Of the closing event; null while the run is open.';
COMMENT ON COLUMN executions.execution_duration       IS 'Close time minus execution time, in nanoseconds; null while the run is open.';
COMMENT ON COLUMN executions.updated_at               IS 'Of the last event; may run backwards.';
COMMENT ON COLUMN executions.execution_timeout        IS 'Of the whole chain of runs; null: none.';
COMMENT ON COLUMN executions.run_timeout              IS 'Null: none.';
COMMENT ON COLUMN executions.task_timeout             IS 'Of one workflow task; null: none.';
COMMENT ON COLUMN executions.retry_policy             IS 'temporal.api.common.v1.RetryPolicy as JSON.';
COMMENT ON COLUMN executions.cron_schedule            IS 'Empty: none.';
COMMENT ON COLUMN executions.priority                 IS 'temporal.api.common.v1.Priority as JSON.';
COMMENT ON COLUMN executions.attempt                  IS 'Of the run''s retry policy, from 1, as the start event says.';
COMMENT ON COLUMN executions.memo                     IS 'A temporal.api.common.v1.Payload as JSON for each key.';
COMMENT ON COLUMN executions.search_attributes        IS 'A temporal.api.common.v1.Payload as JSON for each key.';
COMMENT ON COLUMN executions.search_values            IS 'The search attributes as the registry types them: text (Keyword, Text), number (Int, Double), boolean, list of texts (KeywordList), Datetime as YYYY-MM-DDTHH:MM:SS.ffffffZ; with those that Temporal keeps of versions and pauses. What does not fit its type is not in it.';
COMMENT ON COLUMN executions.untyped_attributes       IS 'Search attributes that have a value here and no type yet; null: none.';
COMMENT ON COLUMN executions.parent_namespace         IS 'Null: not a child, or the start event named none.';
COMMENT ON COLUMN executions.parent_workflow_id       IS 'Null: not a child.';
COMMENT ON COLUMN executions.parent_run_id            IS 'Null: not a child.';
COMMENT ON COLUMN executions.root_workflow_id         IS 'Of the topmost parent: its own for a run without one.';
COMMENT ON COLUMN executions.root_run_id              IS 'Of the topmost parent: its own for a run without one.';
COMMENT ON COLUMN executions.first_run_id             IS 'Of the chain of runs: its own for a run that continues none.';
COMMENT ON COLUMN executions.original_run_id          IS 'The run in which the start event was written: its own but after a reset.';
COMMENT ON COLUMN executions.continued_from_run_id    IS 'The run that this one continues; null: none.';
COMMENT ON COLUMN executions.continued_to_run_id      IS 'The run that continues this one; null: none.';
COMMENT ON COLUMN executions.reset_from_run_id        IS 'The run whose history this one begins with, after a reset; null: none.';
COMMENT ON COLUMN executions.cancel_requested         IS 'Whether the run was asked to cancel itself.';
COMMENT ON COLUMN executions.pause                    IS 'Who paused it, when and why; null: not paused.';
COMMENT ON COLUMN executions.last_failure             IS 'Message of the newest failure that any event recorded.';
COMMENT ON COLUMN executions.last_failure_causes      IS 'Messages of its chain of causes, outermost first.';
COMMENT ON COLUMN executions.close_reason             IS 'Why it was terminated, as who did it said; null: it was not, or nobody said.';
COMMENT ON COLUMN executions.expiration_time          IS 'When the chain of runs times out; null: never, or not said.';
COMMENT ON COLUMN executions.workflow_task_failures   IS 'Workflow tasks that failed or timed out, resets excluded.';
COMMENT ON COLUMN executions.pending_activities       IS 'Scheduled and not over; counts in a closed run too, if its history never ended them.';
COMMENT ON COLUMN executions.pending_timers           IS 'Started and not over.';
COMMENT ON COLUMN executions.pending_children         IS 'Initiated and not over.';
COMMENT ON COLUMN executions.pending_nexus_operations IS 'Scheduled and not over.';
COMMENT ON COLUMN executions.pending_updates          IS 'Admitted or accepted and not completed.';
COMMENT ON COLUMN executions.signals                  IS 'Received.';
COMMENT ON COLUMN executions.change_versions          IS 'TemporalChangeVersion of the search attributes.';
COMMENT ON COLUMN executions.build_ids                IS 'Of the workers that completed workflow tasks; at most the newest 20.';
COMMENT ON COLUMN executions.build_id                 IS 'Of the worker that completed the newest workflow task, or of what overrides it; null: unknown.';
COMMENT ON COLUMN executions.deployment               IS 'Of that worker; null: unknown.';
COMMENT ON COLUMN executions.versioning_behavior      IS 'Pinned or AutoUpgrade; null: not versioned.';
COMMENT ON COLUMN executions.sdk_name                 IS 'Of that worker, as it said last; null: unknown.';
COMMENT ON COLUMN executions.sdk_version              IS 'Of that worker, as it said last; null: unknown.';
COMMENT ON COLUMN executions.history_length           IS 'Number of events.';
COMMENT ON COLUMN executions.history_size_bytes       IS 'Of the events, as the log keeps them.';
COMMENT ON COLUMN executions.unknown_events           IS 'Events of a type that this version of Annals does not know.';
COMMENT ON COLUMN executions.missing_references       IS 'References to events that are not there.';
COMMENT ON COLUMN executions.run_no                   IS 'Names the run in run_events, within its slot: twice first_sequence, and 1 more if it is the commit''s newest run.';
COMMENT ON COLUMN executions.partition                IS 'Of the log.';
COMMENT ON COLUMN executions.first_sequence           IS 'Stream sequence of the commit in which the run began.';
COMMENT ON COLUMN executions.last_sequence            IS 'Stream sequence of the run''s last commit.';
COMMENT ON COLUMN executions.state                    IS 'The fold of the run so far, for the projector to go on from; null once the run is closed.';

CREATE TABLE workflows (
    slot           smallint NOT NULL CHECK (slot BETWEEN 0 AND 1023),
    namespace      text COLLATE "C" NOT NULL,
    workflow_id    text COLLATE "C" NOT NULL,
    run_id         text COLLATE "C" NOT NULL,
    runs           bigint   NOT NULL CHECK (runs > 0),
    partition      smallint NOT NULL,
    first_sequence bigint   NOT NULL CHECK (first_sequence > 0),
    last_sequence  bigint   NOT NULL,
    last_hash      bytea    NOT NULL CHECK (octet_length(last_hash) = 16),
    PRIMARY KEY (slot, namespace, workflow_id),
    CONSTRAINT sequences_rise CHECK (first_sequence <= last_sequence)
)
WITH (fillfactor = 70);
COMMENT ON TABLE  workflows IS 'One row a workflow id: its newest run, and the end of its log.';
COMMENT ON INDEX  workflows_pkey IS 'A workflow is there once. describe; the projector reads its end back and updates it; heal.';
COMMENT ON COLUMN workflows.slot           IS 'Of the workflow.';
COMMENT ON COLUMN workflows.namespace      IS 'Of the workflow.';
COMMENT ON COLUMN workflows.workflow_id    IS 'Of the workflow.';
COMMENT ON COLUMN workflows.run_id         IS 'The newest run.';
COMMENT ON COLUMN workflows.runs           IS 'How many runs there were.';
COMMENT ON COLUMN workflows.partition      IS 'Of the log.';
COMMENT ON COLUMN workflows.first_sequence IS 'Stream sequence of the workflow''s first commit.';
COMMENT ON COLUMN workflows.last_sequence  IS 'Stream sequence of its last one.';
COMMENT ON COLUMN workflows.last_hash      IS 'Chain hash of its last commit: the next one must follow from it.';

CREATE TABLE activities (
    slot                      smallint NOT NULL CHECK (slot BETWEEN 0 AND 1023),
    namespace                 text COLLATE "C" NOT NULL,
    workflow_id               text COLLATE "C" NOT NULL,
    run_id                    text COLLATE "C" NOT NULL,
    scheduled_event_id        bigint   NOT NULL CHECK (scheduled_event_id > 0),
    activity_id               text COLLATE "C" NOT NULL,
    activity_type             text COLLATE "C" NOT NULL,
    task_queue                text COLLATE "C" NOT NULL,
    status                    text COLLATE "C" NOT NULL CHECK (status IN ('Scheduled', 'Started', 'Completed', 'Failed', 'TimedOut', 'Canceled')),
    scheduled_time            timestamptz,
    started_event_id          bigint,
    started_time              timestamptz,
    attempt                   integer  NOT NULL,
    cancel_requested          boolean  NOT NULL,
    worker_identity           text COLLATE "C" NOT NULL,
    schedule_to_close_timeout interval,
    schedule_to_start_timeout interval,
    start_to_close_timeout    interval,
    heartbeat_timeout         interval,
    closed_event_id           bigint,
    close_time                timestamptz,
    last_failure              text COLLATE "C",
    last_failure_causes       text[],
    maximum_attempts          integer,
    retry_state               text COLLATE "C",
    PRIMARY KEY (slot, namespace, workflow_id, run_id, scheduled_event_id),
    CONSTRAINT closed_means_over CHECK ((status IN ('Scheduled', 'Started')) = (closed_event_id IS NULL))
);
COMMENT ON TABLE  activities IS 'One row an activity that a run scheduled.';
COMMENT ON INDEX  activities_pkey IS 'An activity is there once. describe (those that are pending); list and count by HasPendingActivity; the projector''s updates; heal.';
COMMENT ON COLUMN activities.slot                      IS 'Of the workflow.';
COMMENT ON COLUMN activities.namespace                 IS 'Of the workflow.';
COMMENT ON COLUMN activities.workflow_id               IS 'Of the workflow.';
COMMENT ON COLUMN activities.run_id                    IS 'Of the run.';
COMMENT ON COLUMN activities.scheduled_event_id        IS 'The event that scheduled it.';
COMMENT ON COLUMN activities.activity_id               IS 'As the workflow named it.';
COMMENT ON COLUMN activities.activity_type             IS 'As the workflow named it.';
COMMENT ON COLUMN activities.task_queue                IS 'Where workers look for it.';
COMMENT ON COLUMN activities.status                    IS 'Scheduled and Started are pending.';
COMMENT ON COLUMN activities.scheduled_time            IS 'Of the scheduling event.';
COMMENT ON COLUMN activities.started_event_id          IS 'Null: not started, as far as the history tells.';
COMMENT ON COLUMN activities.started_time              IS 'Of the started event.';
COMMENT ON COLUMN activities.attempt                   IS 'From 1; 0: not started.';
COMMENT ON COLUMN activities.cancel_requested          IS 'Whether the workflow asked to cancel it.';
COMMENT ON COLUMN activities.worker_identity           IS 'The newest worker that an event named.';
COMMENT ON COLUMN activities.schedule_to_close_timeout IS 'Null: none.';
COMMENT ON COLUMN activities.schedule_to_start_timeout IS 'Null: none.';
COMMENT ON COLUMN activities.start_to_close_timeout    IS 'Null: none.';
COMMENT ON COLUMN activities.heartbeat_timeout         IS 'Null: none.';
COMMENT ON COLUMN activities.closed_event_id           IS 'The event that ended it; null: pending.';
COMMENT ON COLUMN activities.close_time                IS 'Of that event.';
COMMENT ON COLUMN activities.last_failure              IS 'Message of its failure, or of its last attempt''s.';
COMMENT ON COLUMN activities.last_failure_causes       IS 'Messages of its chain of causes, outermost first.';
COMMENT ON COLUMN activities.maximum_attempts          IS 'Of its retry policy; null: no limit, or no policy.';
COMMENT ON COLUMN activities.retry_state               IS 'Why it was not tried again, as Temporal names it; null: it did not fail, or nobody said.';

CREATE TABLE timers (
    slot             smallint NOT NULL CHECK (slot BETWEEN 0 AND 1023),
    namespace        text COLLATE "C" NOT NULL,
    workflow_id      text COLLATE "C" NOT NULL,
    run_id           text COLLATE "C" NOT NULL,
    started_event_id bigint   NOT NULL CHECK (started_event_id > 0),
    timer_id         text COLLATE "C" NOT NULL,
    status           text COLLATE "C" NOT NULL CHECK (status IN ('Started', 'Fired', 'Canceled')),
    started_time     timestamptz,
    fire_time        timestamptz,
    closed_event_id  bigint,
    close_time       timestamptz,
    PRIMARY KEY (slot, namespace, workflow_id, run_id, started_event_id),
    CONSTRAINT closed_means_over CHECK ((status = 'Started') = (closed_event_id IS NULL))
);
COMMENT ON TABLE  timers IS 'One row a timer that a run started.';
COMMENT ON INDEX  timers_pkey IS 'A timer is there once. describe (those that are pending); list and count by PendingTimerBefore; the projector''s updates; heal.';
COMMENT ON COLUMN timers.slot             IS 'Of the workflow.';
COMMENT ON COLUMN timers.namespace        IS 'Of the workflow.';
COMMENT ON COLUMN timers.workflow_id      IS 'Of the workflow.';
COMMENT ON COLUMN timers.run_id           IS 'Of the run.';
COMMENT ON COLUMN timers.started_event_id IS 'The event that started it.';
COMMENT ON COLUMN timers.timer_id         IS 'As the workflow named it.';
COMMENT ON COLUMN timers.status           IS 'Started is pending.';
COMMENT ON COLUMN timers.started_time     IS 'Of the starting event.';
COMMENT ON COLUMN timers.fire_time        IS 'When it is due.';
COMMENT ON COLUMN timers.closed_event_id  IS 'The event that ended it; null: pending.';
COMMENT ON COLUMN timers.close_time       IS 'Of that event.';

CREATE TABLE children (
    slot                smallint NOT NULL CHECK (slot BETWEEN 0 AND 1023),
    namespace           text COLLATE "C" NOT NULL,
    workflow_id         text COLLATE "C" NOT NULL,
    run_id              text COLLATE "C" NOT NULL,
    initiated_event_id  bigint   NOT NULL CHECK (initiated_event_id > 0),
    child_namespace     text COLLATE "C" NOT NULL,
    child_workflow_id   text COLLATE "C" NOT NULL,
    child_run_id        text COLLATE "C",
    child_type          text COLLATE "C" NOT NULL,
    task_queue          text COLLATE "C" NOT NULL,
    parent_close_policy text COLLATE "C" NOT NULL,
    status              text COLLATE "C" NOT NULL CHECK (status IN ('Initiated', 'Started', 'StartFailed', 'Completed', 'Failed', 'Canceled', 'TimedOut', 'Terminated')),
    initiated_time      timestamptz,
    started_event_id    bigint,
    started_time        timestamptz,
    closed_event_id     bigint,
    close_time          timestamptz,
    failure             text COLLATE "C",
    PRIMARY KEY (slot, namespace, workflow_id, run_id, initiated_event_id),
    CONSTRAINT closed_means_over CHECK ((status IN ('Initiated', 'Started')) = (closed_event_id IS NULL))
);
COMMENT ON TABLE  children IS 'One row a child workflow that a run initiated, as the parent''s history tells it.';
COMMENT ON INDEX  children_pkey IS 'A child is there once. describe (those that are pending); list and count by HasPendingChild; the projector''s updates; heal.';
COMMENT ON COLUMN children.slot                IS 'Of the parent.';
COMMENT ON COLUMN children.namespace           IS 'Of the parent.';
COMMENT ON COLUMN children.workflow_id         IS 'Of the parent.';
COMMENT ON COLUMN children.run_id              IS 'Of the parent''s run.';
COMMENT ON COLUMN children.initiated_event_id  IS 'The event that initiated it, in the parent.';
COMMENT ON COLUMN children.child_namespace     IS 'Empty: the parent''s.';
COMMENT ON COLUMN children.child_workflow_id   IS 'Of the child.';
COMMENT ON COLUMN children.child_run_id        IS 'Its first run; null before it has started.';
COMMENT ON COLUMN children.child_type          IS 'Workflow type of the child.';
COMMENT ON COLUMN children.task_queue          IS 'Of the child.';
COMMENT ON COLUMN children.parent_close_policy IS 'What becomes of it when the parent closes.';
COMMENT ON COLUMN children.status              IS 'Initiated and Started are pending.';
COMMENT ON COLUMN children.initiated_time      IS 'Of the initiating event.';
COMMENT ON COLUMN children.started_event_id    IS 'Null: not started.';
COMMENT ON COLUMN children.started_time        IS 'Of the started event.';
COMMENT ON COLUMN children.closed_event_id     IS 'The event that ended it; null: pending.';
COMMENT ON COLUMN children.close_time          IS 'Of that event.';
COMMENT ON COLUMN children.failure             IS 'Message of its failure, or the cause why it did not start.';

CREATE TABLE nexus_operations (
    slot                      smallint NOT NULL CHECK (slot BETWEEN 0 AND 1023),
    namespace                 text COLLATE "C" NOT NULL,
    workflow_id               text COLLATE "C" NOT NULL,
    run_id                    text COLLATE "C" NOT NULL,
    scheduled_event_id        bigint NOT NULL CHECK (scheduled_event_id > 0),
    endpoint                  text COLLATE "C" NOT NULL,
    service                   text COLLATE "C" NOT NULL,
    operation                 text COLLATE "C" NOT NULL,
    request_id                text COLLATE "C" NOT NULL,
    operation_token           text COLLATE "C",
    status                    text COLLATE "C" NOT NULL CHECK (status IN ('Scheduled', 'Started', 'Completed', 'Failed', 'Canceled', 'TimedOut')),
    scheduled_time            timestamptz,
    started_event_id          bigint,
    started_time              timestamptz,
    schedule_to_close_timeout interval,
    schedule_to_start_timeout interval,
    start_to_close_timeout    interval,
    cancel_requested          boolean NOT NULL,
    cancel_requested_time     timestamptz,
    cancel_delivered          boolean NOT NULL,
    cancel_failure            text COLLATE "C",
    closed_event_id           bigint,
    close_time                timestamptz,
    failure                   text COLLATE "C",
    failure_causes            text[],
    PRIMARY KEY (slot, namespace, workflow_id, run_id, scheduled_event_id),
    CONSTRAINT closed_means_over CHECK ((status IN ('Scheduled', 'Started')) = (closed_event_id IS NULL))
);
COMMENT ON TABLE  nexus_operations IS 'One row a Nexus operation that a run scheduled.';
COMMENT ON INDEX  nexus_operations_pkey IS 'An operation is there once. describe (those that are pending); the projector''s updates; heal.';
COMMENT ON COLUMN nexus_operations.slot                      IS 'Of the workflow.';
COMMENT ON COLUMN nexus_operations.namespace                 IS 'Of the workflow.';
COMMENT ON COLUMN nexus_operations.workflow_id               IS 'Of the workflow.';
COMMENT ON COLUMN nexus_operations.run_id                    IS 'Of the run.';
COMMENT ON COLUMN nexus_operations.scheduled_event_id        IS 'The event that scheduled it.';
COMMENT ON COLUMN nexus_operations.endpoint                  IS 'As the workflow named it.';
COMMENT ON COLUMN nexus_operations.service                   IS 'As the workflow named it.';
COMMENT ON COLUMN nexus_operations.operation                 IS 'As the workflow named it.';
COMMENT ON COLUMN nexus_operations.request_id                IS 'By which the handler knows one request again.';
COMMENT ON COLUMN nexus_operations.operation_token           IS 'By which the handler knows the operation; null: it has given none.';
COMMENT ON COLUMN nexus_operations.status                    IS 'Scheduled and Started are pending.';
COMMENT ON COLUMN nexus_operations.scheduled_time            IS 'Of the scheduling event.';
COMMENT ON COLUMN nexus_operations.started_event_id          IS 'Null: not started, or it answered at once.';
COMMENT ON COLUMN nexus_operations.started_time              IS 'Of the started event.';
COMMENT ON COLUMN nexus_operations.schedule_to_close_timeout IS 'Null: none.';
COMMENT ON COLUMN nexus_operations.schedule_to_start_timeout IS 'Null: none.';
COMMENT ON COLUMN nexus_operations.start_to_close_timeout    IS 'Null: none.';
COMMENT ON COLUMN nexus_operations.cancel_requested          IS 'Whether the workflow asked to cancel it.';
COMMENT ON COLUMN nexus_operations.cancel_requested_time     IS 'Of the event that asked; null: not asked.';
COMMENT ON COLUMN nexus_operations.cancel_delivered          IS 'Whether the handler took the request to cancel it.';
COMMENT ON COLUMN nexus_operations.cancel_failure            IS 'Message of why the handler did not take that request.';
COMMENT ON COLUMN nexus_operations.closed_event_id           IS 'The event that ended it; null: pending.';
COMMENT ON COLUMN nexus_operations.close_time                IS 'Of that event.';
COMMENT ON COLUMN nexus_operations.failure                   IS 'Message of its failure.';
COMMENT ON COLUMN nexus_operations.failure_causes            IS 'Messages of its chain of causes, outermost first.';

CREATE TABLE updates (
    slot              smallint NOT NULL CHECK (slot BETWEEN 0 AND 1023),
    namespace         text COLLATE "C" NOT NULL,
    workflow_id       text COLLATE "C" NOT NULL,
    run_id            text COLLATE "C" NOT NULL,
    event_id          bigint NOT NULL CHECK (event_id > 0),
    update_id         text COLLATE "C" NOT NULL,
    update_name       text COLLATE "C" NOT NULL,
    status            text COLLATE "C" NOT NULL CHECK (status IN ('Admitted', 'Accepted', 'Completed', 'Failed', 'Rejected')),
    identity          text COLLATE "C" NOT NULL,
    admitted_time     timestamptz,
    accepted_event_id bigint,
    accepted_time     timestamptz,
    request_ids       text[],
    closed_event_id   bigint,
    close_time        timestamptz,
    failure           text COLLATE "C",
    failure_causes    text[],
    PRIMARY KEY (slot, namespace, workflow_id, run_id, event_id),
    CONSTRAINT closed_means_over  CHECK ((status IN ('Admitted', 'Accepted')) = (closed_event_id IS NULL)),
    CONSTRAINT accepted_before_end CHECK (status NOT IN ('Accepted', 'Completed', 'Failed') OR accepted_event_id IS NOT NULL)
);
COMMENT ON TABLE  updates IS 'One row an update of a run that left an event. One that a worker rejects usually leaves none.';
COMMENT ON INDEX  updates_pkey IS 'An update is there once. describe (those that are pending); the projector''s updates; heal.';
COMMENT ON COLUMN updates.slot              IS 'Of the workflow.';
COMMENT ON COLUMN updates.namespace         IS 'Of the workflow.';
COMMENT ON COLUMN updates.workflow_id       IS 'Of the workflow.';
COMMENT ON COLUMN updates.run_id            IS 'Of the run.';
COMMENT ON COLUMN updates.event_id          IS 'The event that made it known: admitted, accepted without, or rejected without.';
COMMENT ON COLUMN updates.update_id         IS 'As the client named it.';
COMMENT ON COLUMN updates.update_name       IS 'The handler that it is for.';
COMMENT ON COLUMN updates.status            IS 'Admitted and Accepted are pending.';
COMMENT ON COLUMN updates.identity          IS 'Of the client.';
COMMENT ON COLUMN updates.admitted_time     IS 'Of the admitted event; null: there was none.';
COMMENT ON COLUMN updates.accepted_event_id IS 'Null: not accepted.';
COMMENT ON COLUMN updates.accepted_time     IS 'Of the accepted event.';
COMMENT ON COLUMN updates.request_ids       IS 'Of the requests that wait for it; null: none said.';
COMMENT ON COLUMN updates.closed_event_id   IS 'The event that ended it; null: pending.';
COMMENT ON COLUMN updates.close_time        IS 'Of that event.';
COMMENT ON COLUMN updates.failure           IS 'Message of why it failed or was rejected.';
COMMENT ON COLUMN updates.failure_causes    IS 'Messages of its chain of causes, outermost first.';

CREATE TABLE signals (
    slot               smallint NOT NULL CHECK (slot BETWEEN 0 AND 1023),
    namespace          text COLLATE "C" NOT NULL,
    workflow_id        text COLLATE "C" NOT NULL,
    run_id             text COLLATE "C" NOT NULL,
    event_id           bigint NOT NULL CHECK (event_id > 0),
    signal_name        text COLLATE "C" NOT NULL,
    time               timestamptz,
    identity           text COLLATE "C" NOT NULL,
    request_id         text COLLATE "C",
    sender_workflow_id text COLLATE "C",
    sender_run_id      text COLLATE "C",
    CONSTRAINT senders_are_whole CHECK ((sender_workflow_id IS NULL) = (sender_run_id IS NULL))
);
COMMENT ON TABLE  signals IS 'One row a signal that a run received.';
COMMENT ON COLUMN signals.slot               IS 'Of the workflow.';
COMMENT ON COLUMN signals.namespace          IS 'Of the workflow.';
COMMENT ON COLUMN signals.workflow_id        IS 'Of the workflow.';
COMMENT ON COLUMN signals.run_id             IS 'Of the run.';
COMMENT ON COLUMN signals.event_id           IS 'The event that recorded it.';
COMMENT ON COLUMN signals.signal_name        IS 'As the sender named it.';
COMMENT ON COLUMN signals.time               IS 'Of the event.';
COMMENT ON COLUMN signals.identity           IS 'Of the client that sent it.';
COMMENT ON COLUMN signals.request_id         IS 'Of the request that sent it; null: not said.';
COMMENT ON COLUMN signals.sender_workflow_id IS 'The workflow that sent it; null: a client did.';
COMMENT ON COLUMN signals.sender_run_id      IS 'Its run.';

CREATE TABLE external_requests (
    slot                smallint NOT NULL CHECK (slot BETWEEN 0 AND 1023),
    namespace           text COLLATE "C" NOT NULL,
    workflow_id         text COLLATE "C" NOT NULL,
    run_id              text COLLATE "C" NOT NULL,
    initiated_event_id  bigint NOT NULL CHECK (initiated_event_id > 0),
    kind                text COLLATE "C" NOT NULL CHECK (kind IN ('Signal', 'Cancel')),
    status              text COLLATE "C" NOT NULL CHECK (status IN ('Initiated', 'Delivered', 'Failed')),
    target_namespace    text COLLATE "C" NOT NULL,
    target_workflow_id  text COLLATE "C" NOT NULL,
    target_run_id       text COLLATE "C",
    signal_name         text COLLATE "C",
    reason              text COLLATE "C",
    child_workflow_only boolean NOT NULL,
    initiated_time      timestamptz,
    closed_event_id     bigint,
    close_time          timestamptz,
    failed_cause        text COLLATE "C",
    PRIMARY KEY (slot, namespace, workflow_id, run_id, initiated_event_id),
    CONSTRAINT closed_means_over CHECK ((status = 'Initiated') = (closed_event_id IS NULL)),
    CONSTRAINT signals_have_names CHECK ((kind = 'Signal') = (signal_name IS NOT NULL))
);
COMMENT ON TABLE  external_requests IS 'One row a signal or a cancel request that a run sent to another workflow.';
COMMENT ON INDEX  external_requests_pkey IS 'A request is there once. describe (those that are pending); the projector''s updates; heal.';
COMMENT ON COLUMN external_requests.slot                IS 'Of the workflow.';
COMMENT ON COLUMN external_requests.namespace           IS 'Of the workflow.';
COMMENT ON COLUMN external_requests.workflow_id         IS 'Of the workflow.';
COMMENT ON COLUMN external_requests.run_id              IS 'Of the run.';
COMMENT ON COLUMN external_requests.initiated_event_id  IS 'The event that initiated it.';
COMMENT ON COLUMN external_requests.kind                IS 'What was sent.';
COMMENT ON COLUMN external_requests.status              IS 'Initiated is pending.';
COMMENT ON COLUMN external_requests.target_namespace    IS 'Empty: the runs own.';
COMMENT ON COLUMN external_requests.target_workflow_id  IS 'The workflow that it was sent to.';
COMMENT ON COLUMN external_requests.target_run_id       IS 'Its run; null: whichever is open.';
COMMENT ON COLUMN external_requests.signal_name         IS 'Of a signal.';
COMMENT ON COLUMN external_requests.reason              IS 'Of a cancel request; null: none given.';
COMMENT ON COLUMN external_requests.child_workflow_only IS 'Whether the target must be a child of the run.';
COMMENT ON COLUMN external_requests.initiated_time      IS 'Of the initiating event.';
COMMENT ON COLUMN external_requests.closed_event_id     IS 'The event that says whether it arrived; null: pending.';
COMMENT ON COLUMN external_requests.close_time          IS 'Of that event.';
COMMENT ON COLUMN external_requests.failed_cause        IS 'Why it did not arrive, as Temporal names it.';

-- Rows of events are most of all rows, so they name their run by its number.
CREATE TABLE run_events (
    slot     smallint    NOT NULL CHECK (slot BETWEEN 0 AND 1023),
    event_id integer     NOT NULL CHECK (event_id > 0),
    run_no   bigint      NOT NULL,
    sequence bigint      NOT NULL CHECK (sequence > 0),
    time     timestamptz,
    type     text COLLATE "C" NOT NULL,
    name     text COLLATE "C" NOT NULL
);
COMMENT ON TABLE  run_events IS 'One row an event: where it is in the log, not what it holds. The view events names its run.';
COMMENT ON COLUMN run_events.slot     IS 'Of the workflow.';
COMMENT ON COLUMN run_events.event_id IS 'Dense, from 1, in a run.';
COMMENT ON COLUMN run_events.run_no   IS 'executions.run_no of the run.';
COMMENT ON COLUMN run_events.sequence IS 'Stream sequence of the commit that holds it.';
COMMENT ON COLUMN run_events.time     IS 'Of the event.';
COMMENT ON COLUMN run_events.type     IS 'As Temporal names it, in short: ActivityTaskScheduled. A type that this version does not know is its number.';
COMMENT ON COLUMN run_events.name     IS 'What tells events of a type apart: the marker, signal, activity or workflow type, timer, update; empty where there is none.';

-- A row without a run is shown too: there should be none, and verify finds it here.
CREATE VIEW events AS
SELECT v.slot, x.namespace, x.workflow_id, x.run_id, v.event_id::bigint AS event_id, v.type, v.name, v.time, x.partition, v.sequence
FROM run_events AS v LEFT JOIN executions AS x ON (x.slot, x.run_no) = (v.slot, v.run_no);
COMMENT ON VIEW   events IS 'One row an event: where it is in the log, not what it holds.';
COMMENT ON COLUMN events.slot        IS 'Of the workflow.';
COMMENT ON COLUMN events.namespace   IS 'Of the workflow.';
COMMENT ON COLUMN events.workflow_id IS 'Of the workflow.';
COMMENT ON COLUMN events.run_id      IS 'Of the run.';
COMMENT ON COLUMN events.event_id    IS 'Dense, from 1, in a run.';
COMMENT ON COLUMN events.type        IS 'As Temporal names it, in short: ActivityTaskScheduled. A type that this version does not know is its number.';
COMMENT ON COLUMN events.name        IS 'What tells events of a type apart: the marker, signal, activity or workflow type, timer, update; empty where there is none.';
COMMENT ON COLUMN events.time        IS 'Of the event.';
COMMENT ON COLUMN events.partition   IS 'Of the log.';
COMMENT ON COLUMN events.sequence    IS 'Stream sequence of the commit that holds it.';
