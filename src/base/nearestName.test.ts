import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nearestName } from './nearestName.ts'

test('a slip of the hand finds the name meant', () => {
  assert.equal(nearestName('SELEC', ['SET', 'SELECT']), 'SELECT')
  assert.equal(nearestName('prcie', ['auction', 'price', 'bidder']), 'price')
  assert.equal(nearestName('userid', ['user_id', 'id']), 'user_id')
  assert.equal(nearestName('Price', ['price']), 'price')
  assert.equal(nearestName('k', ['key', 'v']), undefined)
  assert.equal(nearestName('total', ['auction', 'price']), undefined)
  assert.equal(nearestName('a', []), undefined)
})

test('any one edit of a name of four letters or more is found again', () => {
  const name = fc.stringMatching(/^[a-z]{4,12}$/)
  fc.assert(
    fc.property(name, fc.nat(), fc.constantFrom('drop', 'double', 'swap', 'replace'), (wanted, seed, edit) => {
      const at = seed % (wanted.length - 1)
      const letters = [...wanted]
      if (edit === 'drop') letters.splice(at, 1)
      else if (edit === 'double') letters.splice(at, 0, letters[at]!)
      else if (edit === 'swap') letters.splice(at, 2, letters[at + 1]!, letters[at]!)
      else letters[at] = '#'
      const written = letters.join('')
      assert.equal(nearestName(written, ['zzzzzzzzzzzzzzz', wanted]), written === wanted ? undefined : wanted)
    }),
  )
})
