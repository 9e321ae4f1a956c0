import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newProgress } from '../engine/index.ts'
import { HELD_MS, LOOK_MS, ThreadWatch } from './threadWatch.ts'

test('a thread without a beat is held up for as long as the main thread was awake, and one that gets on or has not begun is not', () => {
  const watch = new ThreadWatch(newProgress())
  const [cells] = [new Int32Array(watch.shared, 0, 1)]
  const look = (times: number, elapsedMs = LOOK_MS) => {
    for (let i = 0; i < times; i++) watch.look(elapsedMs)
    return watch.state.heldMs
  }
  assert.equal(look(100), 0, 'it has not begun')
  cells[0]++
  assert.equal(look(1), 0)
  assert.equal(look(4), 4 * LOOK_MS)
  // A laptop that slept for an hour, and a main thread that was busy.
  assert.equal(look(1, 3_600_000), 6 * LOOK_MS)
  cells[0]++
  assert.equal(look(1), 0)
  const looks = HELD_MS / LOOK_MS
  for (let i = 0; i < 3 * looks; i++) {
    if (i % looks === 0) cells[0]++
    assert.ok(look(1) < HELD_MS)
  }
  // The counter of beats goes round.
  cells[0] = 2_147_483_647
  look(1)
  cells[0]++
  assert.equal(look(1), 0)
})
