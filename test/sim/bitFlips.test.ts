import { test } from 'node:test'
import { flipBits } from './bitFlips.ts'

/** `.ci/run` has 10,000. */
const FLIPS = 1_500

test(`${FLIPS} flipped bits in segments, indexes, metadata, checkpoints and savepoints: each is told or harmless, never wrong data`, async (t) => {
  t.diagnostic(JSON.stringify(await flipBits(FLIPS, 1)))
})
