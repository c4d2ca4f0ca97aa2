-- Executions as queries show them. What follows says which.
SELECT namespace, workflow_id, run_id, workflow_type, status, task_queue,
       start_time, execution_time, close_time, updated_at,
       history_length, history_size_bytes, attempt, identity,
       coalesce(execution_timeout, interval '0') AS execution_timeout,
       coalesce(run_timeout, interval '0')       AS run_timeout,
       coalesce(task_timeout, interval '0')      AS task_timeout,
       retry_policy, cron_schedule, priority, memo, search_attributes,
       search_values, coalesce(untyped_attributes, '{}') AS untyped_attributes,
       execution_duration, expiration_time, coalesce(close_reason, '') AS close_reason,
       coalesce(parent_namespace, '')            AS parent_namespace,
       coalesce(parent_workflow_id, '')          AS parent_workflow_id,
       coalesce(parent_run_id, '')               AS parent_run_id,
       root_workflow_id, root_run_id, first_run_id, original_run_id,
       coalesce(continued_from_run_id, '')       AS continued_from_run_id,
       coalesce(continued_to_run_id, '')         AS continued_to_run_id,
       coalesce(reset_from_run_id, '')           AS reset_from_run_id,
       cancel_requested, pause, last_failure,
       coalesce(last_failure_causes, '{}')       AS last_failure_causes,
       workflow_task_failures,
       pending_activities, pending_timers, pending_children, pending_nexus_operations, pending_updates,
       signals,
       coalesce(change_versions, '{}')           AS change_versions,
       coalesce(build_ids, '{}')                 AS build_ids,
       coalesce(build_id, '')                    AS build_id,
       coalesce(deployment, '')                  AS deployment,
       coalesce(versioning_behavior, '')         AS versioning_behavior,
       coalesce(sdk_name, '')                    AS sdk_name,
       coalesce(sdk_version, '')                 AS sdk_version,
       unknown_events, missing_references,
       partition || ':' || last_sequence         AS position,
       (namespace, workflow_id) IN (
           SELECT q.namespace, q.workflow_id
           FROM annals.quarantine AS q JOIN annals.generations AS g USING (projection, generation)
           WHERE projection = 'executions' AND g.state = 'live' AND q.workflow_id IS NOT NULL)
                                                 AS quarantined
FROM annals.executions
