import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GroupPace } from './groupPace.ts'

const SYNC_MS = 2

/**
 * One producer with `inFlight` batches on a disk that takes `syncMs`: it sends again `delayMs` after an answer, one batch each `sendMs`.
 *
 * @returns batches for each ms, and the mean of how long one waited for its answer
 */
function play(
  inFlight: number,
  delayMs: number,
  pace: GroupPace | undefined,
  { syncMs = SYNC_MS, sendMs = 0.01, groups = 10_000 } = {},
): { perMs: number; latencyMs: number } {
  let nowMs = 0
  let arrivals = Array.from({ length: inFlight }, (_, i) => i * sendMs)
  let answered = 0
  let waitedMs = 0
  for (let i = 0; i < groups; i++) {
    arrivals.sort((a, b) => a - b)
    nowMs = Math.max(nowMs, arrivals[0])
    const countAt = (ms: number) => arrivals.filter((at) => at <= ms).length
    let count = countAt(nowMs)
    const limitMs = pace?.waitMs(count) ?? 0
    if (pace && limitMs > 0) {
      const untilMs = nowMs + limitMs
      while (!pace.isComplete(count) && nowMs < untilMs) {
        nowMs = Math.min(untilMs, arrivals[count] ?? untilMs)
        count = countAt(nowMs)
      }
      pace.noteWait(count)
    }
    const startMs = nowMs
    nowMs += syncMs
    for (const at of arrivals.slice(0, count)) waitedMs += nowMs - at
    answered += count
    const rest = arrivals.slice(count)
    pace?.noteAnswered(count, rest.filter((at) => at <= nowMs).length, startMs, nowMs)
    arrivals = [...rest, ...Array.from({ length: count }, (_, k) => Math.max(nowMs + delayMs, ...rest) + (k + 1) * sendMs)]
  }
  return { perMs: answered / nowMs, latencyMs: waitedMs / answered }
}

test('a producer that answers quickly waits for one sync in each turn instead of two', () => {
  const at = play(5, 0.3, undefined)
  const paced = play(5, 0.3, new GroupPace())
  assert.ok(paced.perMs > at.perMs * 1.5, `${paced.perMs} after ${at.perMs} batches per ms`)
  assert.ok(paced.latencyMs < at.latencyMs * 0.8, `${paced.latencyMs} after ${at.latencyMs} ms`)
})

test('a disk that is faster than the producer is not waited with: a part is synced while the producer sends the other', () => {
  const disk = { syncMs: 0.3, sendMs: 0.09 }
  const at = play(3, 0.05, undefined, disk)
  const paced = play(3, 0.05, new GroupPace(), disk)
  assert.ok(paced.perMs > at.perMs * 0.97, `${paced.perMs} after ${at.perMs} batches per ms`)
})

test('who answers slowly, or has one batch in flight, loses less than a tenth', () => {
  for (const [inFlight, delayMs] of [
    [1, 0.3],
    [1, 50],
    [2, 2.5],
    [5, 3],
    [5, 50],
  ]) {
    const at = play(inFlight, delayMs, undefined)
    const paced = play(inFlight, delayMs, new GroupPace())
    assert.ok(paced.perMs > at.perMs * 0.9, `${inFlight} in flight, ${delayMs} ms: ${paced.perMs} after ${at.perMs}`)
  }
})
