import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AlignedOutput } from './alignedOutput.ts'

test('what comes from behind a cut waits for the cuts of all, in its order; what waits for a cut that never comes is let go', () => {
  const seen: string[] = []
  const output = new AlignedOutput(2, ({ checkpoint, tookMs }) => seen.push(`cut ${checkpoint.checkpointId}, ${tookMs} ms`))
  const take = (subtask: number, what: string) => output.take(subtask, () => seen.push(what))
  const cut = (subtask: number, checkpointId: number, tookMs: number) =>
    output.cut(subtask, { checkpoint: { checkpointId, queries: [], updates: [] }, tookMs })
  take(0, 'a0')
  cut(0, 1, 5)
  take(0, 'a1')
  take(1, 'b0')
  take(0, 'a2')
  cut(1, 1, 3)
  take(1, 'b1')
  assert.deepEqual(seen.splice(0), ['a0', 'b0', 'cut 1, 5 ms', 'a1', 'a2', 'b1'])
  cut(1, 2, 0)
  take(1, 'b2')
  assert.deepEqual(seen, [])
  output.release()
  assert.deepEqual(seen, ['b2'])
})
