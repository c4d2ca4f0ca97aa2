// A worker: runs one workflow to its end, from wherever its history is. Kill it
// at any moment and start it again.
//
//   ANNALS_URL=http://127.0.0.1:7070 node worker.js WORKFLOW [PARCELS]

import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'

import { Annals, AnnalsError, values } from './annals.js'
import { closes, read } from './history.js'
import { settings, SettingError } from './settings.js'
import { activities, decide } from './shipment.js'

const log = (text) => console.log(text)
const identity = `${process.pid}@${hostname()}`
let annals, workflow, parcels, parcelMs

// Thrown out of an activity whose run has been closed.
class RunClosed extends Error {}

// Thrown out of an activity that another attempt goes on with.
class TakenOver extends Error {}

// Starts the run, or finds that an earlier worker has: the commit id is the
// same for all, and so is the request.
async function start() {
  const started = {
    eventType: 'WorkflowExecutionStarted',
    workflowExecutionStartedEventAttributes: {
      workflowType: { name: 'Shipment' },
      taskQueue: { name: 'shipments' },
      input: [{ amount: 42, parcels }],
      attempt: 1,
    },
  }
  let answer
  try {
    answer = await annals.append(workflow, { newRun: {} }, [started], `start-${workflow.workflowId}`)
  } catch (e) {
    // A run is open that somebody else began, or one was begun by a worker that
    // was told another number of parcels. Either way the history says what holds.
    if (e.code !== 'aborted' && e.code !== 'already_exists') throw e
    log('it has been started otherwise: reading that')
    return
  }
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
      throw new TakenOver(`${activity.id}: another attempt has taken over from attempt ${attempt}, and goes on`)
    }
  }
  // Heartbeats are kept whether the run is open or not, so that is asked apart.
  const goOn = async () => {
    if (closes(await annals.lastEvent(workflow, state.runId))) throw new RunClosed(`${activity.id}: the run has been closed: reading again`)
  }
  const result = await activities[activity.type](activity.input, { from, goOn, beat, wait: () => sleep(parcelMs), log })
  return { attempt, result }
}

// Appends exactly after what the state was read from. If something has come in
// between, or the run takes no more events, nothing is stored: the loop below
// reads again and decides again.
async function append(state, events) {
  try {
    await annals.append(workflow, { after: { runId: state.runId, eventId: state.lastId } }, events)
  } catch (e) {
    if (e.code !== 'aborted' && !e.detail?.('Closed')) throw e
    log(`something has happened since event ${state.lastId}: reading again`)
  }
}

// The loop. It ends with the run, or where another worker has the activity.
async function work() {
  const finished = new Map() // by run and activity: results that may not be in the history yet
  for (;;) {
    const history = await annals.history(workflow)
    if (!history) {
      await start()
      continue
    }
    const state = read(history)
    if (state.closed) {
      log(state.result === undefined ? state.closed : `${state.closed} with ${JSON.stringify(state.result)}`)
      return
    }
    if (state.undecided) {
      await append(state, workflowTask(state))
      continue
    }
    const activity = Object.values(state.activities).find((a) => !a.done)
    if (!activity) throw new AnnalsError('failed_precondition', `nothing is pending after event ${state.lastId}`)
    const key = JSON.stringify([state.runId, activity.id])
    try {
      if (!finished.has(key)) finished.set(key, await run(state, activity))
    } catch (e) {
      if (e instanceof TakenOver) return log(e.message)
      if (!(e instanceof RunClosed)) throw e
      log(e.message)
      continue
    }
    await append(state, outcome(state, activity, finished.get(key)))
  }
}

try {
  const s = settings(process.argv.slice(2), process.env)
  workflow = { namespace: 'default', workflowId: s.workflowId }
  annals = new Annals(s.url, { timeoutMs: s.timeoutMs, log })
  ;({ parcels, parcelMs } = s)
  await work()
} catch (e) {
  // What is expected to go wrong is said in a line; the rest is a bug.
  if (!(e instanceof AnnalsError || e instanceof SettingError)) throw e
  console.error(e.message)
  process.exitCode = e instanceof SettingError ? 2 : 1
}
