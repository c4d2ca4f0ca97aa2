// What a history says: the state of a run, folded from its events. Ids are
// texts in JSON, as protobuf has it for numbers of 64 bits.

import { values } from './annals.js'

// How a run ends, by the type of its last event.
const closing = {
  EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: 'completed',
  EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: 'failed',
  EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: 'timed out',
  EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: 'canceled',
  EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: 'terminated',
  EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: 'continued as new',
}

// How an event ends its run; empty if it does not.
export const closes = (event) => closing[event.eventType] ?? ''

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
    state.closed = closes(e)
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
        state.result = values(e.workflowExecutionCompletedEventAttributes.result)[0]
        break
    }
  }
  return state
}
