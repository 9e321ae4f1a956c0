import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withTimeLimit } from './timeLimit.ts'

test('work that does not return is cut off, in a loop and in a pattern; any other gives or throws what it does', () => {
  const cutOff = () => new Error('cut off')
  const endless = () => {
    for (;;);
  }
  assert.throws(() => withTimeLimit(endless, 50, cutOff), /cut off/)
  assert.throws(() => withTimeLimit(() => /^(a+)+$/.test(`${'a'.repeat(60)}!`), 50, cutOff), /cut off/)
  assert.equal(
    withTimeLimit(() => 1 + withTimeLimit(() => 2, 1_000, cutOff), 1_000, cutOff),
    3,
  )
  assert.throws(() => withTimeLimit(() => JSON.parse('{'), 1_000, cutOff), SyntaxError)
})
