// Whether the workflow's code still does what histories have recorded, for a
// deploy pipeline:
//
//   annals replay --type Shipment --check node replay.js
//
// Each line in asks for a task, each line out is the answer: docs/replay.md.
// Standard output is for answers alone.

import { createInterface } from 'node:readline'

import { read } from './history.js'
import { decide } from './shipment.js'

let events = []
for await (const line of createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line)
  events = ask.begin ? ask.events : events.concat(ask.events)
  const answer = { task: ask.task }
  try {
    const state = read({ runId: ask.workflow.runId, events })
    answer.events = state.undecided ? decide(state) : []
  } catch (e) {
    answer.error = e.stack
  }
  console.log(JSON.stringify(answer))
}
