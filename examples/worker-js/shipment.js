// The workflow: charge a card, pack the parcels, ship them.

// What to do next, decided from the history alone: the same history gives the
// same decision, in whichever process and however often.
export function decide(state) {
  const { charge, pack } = state.activities
  if (!charge) return [schedule('charge', 'Charge', { amount: state.input.amount })]
  if (!charge.done) return []
  if (!pack) return [schedule('pack', 'Pack', { parcels: state.input.parcels })]
  if (!pack.done) return []
  const wrapped = state.signals.includes('gift-wrap')
  return [
    {
      eventType: 'WorkflowExecutionCompleted',
      workflowExecutionCompletedEventAttributes: {
        result: [{ receipt: charge.result, parcels: pack.result, wrapped }],
      },
    },
  ]
}

const schedule = (activityId, type, input) => ({
  eventType: 'ActivityTaskScheduled',
  activityTaskScheduledEventAttributes: { activityId, activityType: { name: type }, input: [input] },
})

// What activities do. One may be begun again after its worker has died: with
// from, which is what its last heartbeat said. beat records another one.
export const activities = {
  async Charge({ amount }) {
    return `receipt-${amount}`
  },

  async Pack({ parcels }, { from = { packed: 0 }, goOn, beat, wait, log }) {
    for (let packed = from.packed + 1; packed <= parcels; packed++) {
      await goOn()
      await wait()
      await beat({ packed })
      log(`packed ${packed} of ${parcels}`)
    }
    return parcels
  },
}
