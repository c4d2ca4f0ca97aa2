// What a history says: the state of a run, folded from its events. Ids are
// texts in JSON, as protobuf has it for numbers of 64 bits.

import { values } from './annals.js'

export function read({ runId, events }) {
  const state = {
    runId,
    lastId: events.length,
    closed: '', // how; empty while the run is open
    input: undefined,
    undecided: false, // something happened that no workflow task has seen
    activities: {}, // by activity id
    signals: [], // names
  }
  for (const e of events) {
    switch (e.eventType) {
      case 'EVENT_TYPE_WORKFLOW_EXECUTION_STARTED':
        state.input = values(e.workflowExecutionStartedEventAttributes.input)[0]
        state.undecided = true
        break
      case 'EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED':
        state.signals.push(e.workflowExecutionSignaledEventAttributes.signalName)
        state.undecided = true
        break
      case 'EVENT_TYPE_WORKFLOW_TASK_COMPLETED':
        state.undecided = false
        break
      case 'EVENT_TYPE_ACTIVITY_TASK_SCHEDULED': {
        const a = e.activityTaskScheduledEventAttributes
        state.activities[a.activityId] = {
          id: a.activityId,
          type: a.activityType.name,
          input: values(a.input)[0],
          scheduledId: Number(e.eventId),
          done: false,
        }
        break
      }
      case 'EVENT_TYPE_ACTIVITY_TASK_COMPLETED': {
        const a = e.activityTaskCompletedEventAttributes
        const activity = Object.values(state.activities).find((x) => x.scheduledId === Number(a.scheduledEventId))
        activity.done = true
        activity.result = values(a.result)[0]
        state.undecided = true
        break
      }
      case 'EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED':
        state.closed = 'completed'
        state.result = values(e.workflowExecutionCompletedEventAttributes.result)[0]
        break
      case 'EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED':
        state.closed = 'terminated'
        break
    }
  }
  return state
}
