// A client of Annals' API by HTTP and JSON: what a worker needs, and how each
// failure is dealt with. The calls and their errors are described in
// proto/annals/v1.

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

// What an answer that is no success says: a code, words, and details by type.
export class AnnalsError extends Error {
  constructor(code, message, details = []) {
    super(`${code}: ${message}`)
    this.code = code
    this.details = details
  }

  // The detail of a type, e.g. "OutcomeUnknown"; undefined if there is none.
  detail(type) {
    return this.details.find((d) => d.type === `annals.v1.${type}`)?.debug
  }
}

export class Annals {
  constructor(url, { timeoutMs = 10_000, log = () => {} } = {}) {
    this.url = url
    this.timeoutMs = timeoutMs
    this.log = log
  }

  // One call. It fails with an AnnalsError; "unavailable" if there was no answer.
  async call(name, request) {
    let response, text
    try {
      response = await fetch(`${this.url}/annals.v1.${name}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'Connect-Timeout-Ms': String(this.timeoutMs) },
        body: JSON.stringify(request),
        // The server answers in time, and says so if it does not know the outcome.
        signal: AbortSignal.timeout(this.timeoutMs + 1_000),
      })
      text = await response.text()
    } catch (e) {
      throw new AnnalsError('unavailable', `no answer to ${name}: ${e.cause?.message ?? e.message}`)
    }
    const answer = parse(text)
    if (response.ok && answer) return answer
    if (typeof answer?.code === 'string') throw new AnnalsError(answer.code, answer.message, answer.details)
    // Somebody else has answered: a proxy in between, which may find the service
    // later, or a server that is none of Annals' and never will be.
    const passing = response.status >= 500 || response.status === 429
    throw new AnnalsError(
      passing ? 'unavailable' : 'unknown',
      `HTTP status ${response.status}, and no answer of Annals, from ${response.url}: ANNALS_URL is ${this.url}`,
    )
  }

  // Repeats a call for as long as it may succeed when it is repeated. What the
  // failure says is handed to next, which gives the request to send then.
  async settle(name, request, next = (r) => r) {
    for (let pause = 50; ; pause = Math.min(2 * pause, 2_000)) {
      try {
        return await this.call(name, request)
      } catch (e) {
        if (e.code !== 'unavailable' && e.code !== 'deadline_exceeded') throw e
        this.log(`${e.message}; trying again`)
        request = next(request, e)
        await sleep(pause)
      }
    }
  }

  // Appends events as one commit: all or nothing, and once, however often it
  // has to be sent. Expect is what the workflow is taken to be, e.g.
  // { after: { runId, eventId } }; if it is something else, nothing is stored
  // and the code of the error is "aborted".
  append(workflow, expect, events, commitId = randomUUID()) {
    return this.settle('LogService/Append', { workflow, ...expect, commitId, events }, (request, e) => {
      // The same commit id makes the same append recognisable. If the service
      // does not know whether it was stored, it says what to expect instead:
      // with that it is stored once, whatever happened, now or tomorrow.
      const unknown = e.detail('OutcomeUnknown')
      return unknown ? { workflow, expectation: unknown.expectation, commitId, events } : request
    })
  }

  // The last event of a run so far.
  async lastEvent(workflow, runId) {
    return (await this.settle('LogService/GetHistory', { workflow, runId, reverse: true, limit: 1 })).events[0]
  }

  // The newest run of a workflow: { runId, events }, or null if there is none.
  async history(workflow) {
    const run = { runId: '', events: [] }
    let pageToken = ''
    do {
      let page
      try {
        page = await this.settle('LogService/GetHistory', { workflow, pageToken })
      } catch (e) {
        if (e.code === 'not_found') return null
        throw e
      }
      run.runId = page.runId
      run.events.push(...page.events)
      pageToken = page.nextPageToken
    } while (pageToken !== '')
    return run
  }

  // Keeps a sign of life of an activity, with what another attempt needs to go
  // on. False: another attempt has taken over.
  async heartbeat(workflow, runId, activityId, attempt, details, identity) {
    const beat = { workflow, runId, activityId, attempt, details, identity, time: new Date().toISOString() }
    return (await this.settle('LogService/RecordHeartbeat', beat)).newest
  }

  // What the tables know of an activity that is pending, as far as they have
  // come; undefined if they know nothing of it.
  async pendingActivity(workflow, runId, activityId) {
    try {
      const run = await this.settle('QueryService/DescribeExecution', { workflow, runId, waitFor: 'now' })
      return run.pendingActivities.find((a) => a.activityId === activityId)
    } catch (e) {
      if (e.code === 'not_found') return undefined
      throw e
    }
  }
}

// The object that a text of JSON is; undefined if it is none.
function parse(text) {
  try {
    const value = JSON.parse(text)
    return value !== null && typeof value === 'object' ? value : undefined
  } catch {
    return undefined
  }
}

// The values of payloads that hold JSON, which is what values become that are
// sent as they are.
export const values = (payloads) =>
  (payloads?.payloads ?? []).map((p) => JSON.parse(Buffer.from(p.data ?? '', 'base64').toString()))
