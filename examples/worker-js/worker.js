// A worker: runs one workflow to its end, from wherever its history is. Kill it
// at any moment and start it again.
//
//   ANNALS_URL=http://127.0.0.1:7070 node worker.js WORKFLOW [PARCELS]

import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'

import { Annals, values } from './annals.js'
import { read } from './history.js'
import { activities, decide } from './shipment.js'

const [workflowId, parcels = '10'] = process.argv.slice(2)
if (!workflowId || !(Number(parcels) > 0)) {
  console.error('usage: node worker.js WORKFLOW [PARCELS]')
  process.exit(2)
}
const log = (text) => console.log(text)
const annals = new Annals(process.env.ANNALS_URL ?? 'http://127.0.0.1:7070', {
  timeoutMs: Number(process.env.ANNALS_TIMEOUT_MS ?? 10_000),
  log,
})
const workflow = { namespace: 'default', workflowId }
const identity = `${process.pid}@${hostname()}`
const parcelMs = Number(process.env.PARCEL_MS ?? 300)

// Starts the run, or finds that an earlier worker has: the commit id is the
// same for all, and so is the request.
async function start() {
  const answer = await annals.append(
    workflow,
    { newRun: {} },
    [
      {
        eventType: 'WorkflowExecutionStarted',
        workflowExecutionStartedEventAttributes: {
          workflowType: { name: 'Shipment' },
          taskQueue: { name: 'shipments' },
          input: [{ amount: 42, parcels: Number(parcels) }],
          attempt: 1,
        },
      },
    ],
    `start-${workflowId}`,
  )
  log(answer.existed ? `run ${answer.runId} had been started` : `started run ${answer.runId}`)
}

// The workflow task that decides: from its scheduling to its completion, and
// what it decided, in one commit. Nothing can come between, a signal least of all.
function workflowTask(state) {
  const [scheduled, started, completed] = [1, 2, 3].map((n) => state.lastId + n)
  const decisions = decide(state).map((e) => {
    const attributes = Object.keys(e).find((name) => name.endsWith('EventAttributes'))
    return { ...e, [attributes]: { ...e[attributes], workflowTaskCompletedEventId: completed } }
  })
  return number(state, [
    { eventType: 'WorkflowTaskScheduled', workflowTaskScheduledEventAttributes: { taskQueue: { name: 'shipments' }, attempt: 1 } },
    { eventType: 'WorkflowTaskStarted', workflowTaskStartedEventAttributes: { scheduledEventId: scheduled, identity } },
    {
      eventType: 'WorkflowTaskCompleted',
      workflowTaskCompletedEventAttributes: { scheduledEventId: scheduled, startedEventId: started, identity },
    },
    ...decisions,
  ])
}

// How an activity went. Its start is written with its end: the attempts that
// came to nothing are no part of the history, as Temporal has it.
function outcome(state, activity, { attempt, result }) {
  return number(state, [
    { eventType: 'ActivityTaskStarted', activityTaskStartedEventAttributes: { scheduledEventId: activity.scheduledId, identity, attempt } },
    {
      eventType: 'ActivityTaskCompleted',
      activityTaskCompletedEventAttributes: {
        scheduledEventId: activity.scheduledId,
        startedEventId: state.lastId + 1,
        result: [result],
        identity,
      },
    },
  ])
}

// Events that refer to each other say their own ids, and are refused if these
// are not the next.
const number = (state, events) => events.map((e, i) => ({ eventId: state.lastId + 1 + i, ...e }))

// Runs an activity, or goes on with it where its last heartbeat was.
async function run(state, activity) {
  const last = (await annals.pendingActivity(workflow, state.runId, activity.id))?.lastHeartbeat
  const attempt = last ? last.attempt + 1 : 1
  const from = last ? values(last.details)[0] : undefined
  log(from ? `${activity.id}: attempt ${attempt}, going on from ${JSON.stringify(from)}` : `${activity.id}: attempt ${attempt}`)
  const beat = async (progress) => {
    if (!(await annals.heartbeat(workflow, state.runId, activity.id, attempt, [progress], identity))) {
      throw new Error(`${activity.id}: another attempt has taken over`)
    }
  }
  const result = await activities[activity.type](activity.input, { from, beat, wait: () => sleep(parcelMs), log })
  return { attempt, result }
}

// Appends exactly after what the state was read from. If something has come in
// between nothing is stored: the loop below reads again and decides again.
async function append(state, events) {
  try {
    await annals.append(workflow, { after: { runId: state.runId, eventId: state.lastId } }, events)
  } catch (e) {
    if (e.code !== 'aborted') throw e
    log(`something has happened since event ${state.lastId}: reading again`)
  }
}

const finished = new Map() // activities that this process has run, and that may not be in the history yet
for (;;) {
  const history = await annals.history(workflow)
  if (!history) {
    await start()
    continue
  }
  const state = read(history)
  if (state.closed) {
    log(`${state.closed} with ${JSON.stringify(state.result)}`)
    break
  }
  if (state.undecided) {
    await append(state, workflowTask(state))
    continue
  }
  const activity = Object.values(state.activities).find((a) => !a.done)
  if (!activity) throw new Error(`nothing is pending after event ${state.lastId}`)
  if (!finished.has(activity.id)) finished.set(activity.id, await run(state, activity))
  await append(state, outcome(state, activity, finished.get(activity.id)))
}
