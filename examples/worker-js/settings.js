// What the worker is told by its arguments and its environment. It refuses what
// it could not do as said, before it has done anything.

export class SettingError extends Error {}

export function settings(args, env) {
  const [workflowId, parcels = '10', ...more] = args
  if (!workflowId || more.length > 0) throw new SettingError('usage: node worker.js WORKFLOW [PARCELS]')
  return {
    workflowId,
    parcels: wholeNumber('PARCELS', parcels, 1, Number.MAX_SAFE_INTEGER),
    parcelMs: wholeNumber('PARCEL_MS', env.PARCEL_MS || '300', 0, longest),
    timeoutMs: wholeNumber('ANNALS_TIMEOUT_MS', env.ANNALS_TIMEOUT_MS || '10000', 1, longest),
    url: address('ANNALS_URL', env.ANNALS_URL || 'http://127.0.0.1:7070'),
  }
}

// A day: timers take no more than 24 of them, and say so in no error.
const longest = 86_400_000

function wholeNumber(name, text, least, most) {
  const n = Number(text)
  if (/^[0-9]+$/.test(text) && n >= least && n <= most) return n
  throw new SettingError(`${name} is ${JSON.stringify(text)}, and must be a whole number of ${least} to ${most}`)
}

function address(name, text) {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return text.replace(/\/+$/, '')
  throw new SettingError(`${name} is ${JSON.stringify(text)}, and must begin with http:// or https://`)
}
