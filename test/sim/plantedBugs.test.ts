import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { plantedBugs } from './plantedBugs.ts'
import type { RunResult } from './run.ts'

const SEEDS_MAX = 1_000

/** The first seed that finds the bug: the one that did last time, else one of the first thousand. */
function seedThatFinds(bug: string, known: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('main.ts', import.meta.url), { workerData: { bug } })
    let next = 0
    let played: number | undefined
    worker.on('error', reject)
    worker.on('message', (said: Pick<RunResult, 'violation'> | undefined) => {
      if (said?.violation !== undefined || next > SEEDS_MAX) {
        void worker.terminate()
        resolve(said?.violation === undefined ? undefined : played)
      } else {
        played = next === 0 ? known : next
        next++
        worker.postMessage(played)
      }
    })
  })
}

for (const [bug, { what, seed }] of Object.entries(plantedBugs))
  test(`planted: ${what}`, async () => {
    const found = await seedThatFinds(bug, seed)
    assert.ok(found !== undefined, `none of ${SEEDS_MAX} seeds finds "${bug}"`)
    if (found !== seed) console.log(`"${bug}" is found by seed ${found} now, not by ${seed}: note it in plantedBugs.ts`)
  })
