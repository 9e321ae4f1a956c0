// Exactly once, on real processes: a platform that is killed again and again, at random and at each phase of a checkpoint, gives what one
// gives that was never killed. Windows, sessions, a join and a Top-N; into topics, live tables and files.
//
// Events have ordered times, so nothing depends on when they come: lost and double rows are all that can differ.
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeProject } from './harness.ts'
import { BATCH_EVENTS, post, resultsOf, sql, start } from './ordersPipeline.ts'

/** `.ci/run` has 50. */
const KILLS = Number(process.env.MILLRACE_TEST_KILLS ?? 15)
/** Of them, those of a job in two threads; it must give what one thread gives. */
const PARALLEL_KILLS = Math.ceil(KILLS / 3)
/** A fault that has not come by then never will. */
const FAULT_MS_MAX = 30_000

/** Whether one is durable, of any query. */
function hasCheckpoint(folder: string): boolean {
  const jobs = join(folder, 'data', 'checkpoints')
  return existsSync(jobs) && readdirSync(jobs, { recursive: true }).some((name) => /chk-\d+$/.test(String(name)))
}

for (const [parallelism, kills] of [
  [1, KILLS - PARALLEL_KILLS],
  [2, PARALLEL_KILLS],
])
  test(
    `${kills} kills at parallelism ${parallelism}, at random and in each phase of a checkpoint: nothing is lost, nothing is double`,
    {
      timeout: 1_200_000,
    },
    (t) => killAndCompare(t, parallelism, kills),
  )

async function killAndCompare(t: TestContext, parallelism: number, kills: number): Promise<void> {
  const folder = makeProject(t, { 'pipelines/orders.sql': `SET 'parallelism.default' = '${parallelism}';${sql}` })
  // A seeded choice of when: at a call of the checkpoints' disk, between its phases, or any time.
  let state = 20_260_101
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % below
  }
  let batch = 0
  let restoredCount = 0
  const causes: Record<string, number> = {}
  for (let kill = 0; kill < kills; kill++) {
    const fault = [undefined, `disk:${1 + random(45)}`, `cut:${1 + random(3)}`, `durable:${1 + random(3)}`, `settled:${1 + random(3)}`][
      kill % 5
    ]
    const server = await start(t, folder, fault)
    if (server) {
      restoredCount += (server.ready as unknown as { restored: unknown[] }).restored.length > 0 ? 1 : 0
      // At random, but not before there is a checkpoint to go on from; a fault comes by itself when its phase does.
      const pauseMs = 250 + random(500)
      let until = fault === undefined ? undefined : performance.now() + FAULT_MS_MAX
      while (server.running.isRunning && (until === undefined || performance.now() < until)) {
        if (await post(server, batch)) batch++
        await sleep(20 + random(60))
        if (hasCheckpoint(folder)) until ??= performance.now() + pauseMs
      }
    }
    const cause = server?.running.isRunning ? 'random' : (fault?.split(':')[0] ?? 'random')
    causes[cause] = (causes[cause] ?? 0) + 1
    await server?.running.kill('SIGKILL')
    if (server && server.running.stderr !== '') t.diagnostic(server.running.stderr.slice(0, 2_000))
  }
  const last = await start(t, folder)
  assert.ok(last)
  // The one that was on its way when the process ended, and one more.
  for (let i = 0; i < 2; i++) if (await post(last, batch)) batch++
  const results = await resultsOf(last, folder, batch * BATCH_EVENTS)
  await last.running.kill('SIGTERM')

  const plain = makeProject(t, { 'pipelines/orders.sql': sql })
  const reference = await start(t, plain)
  assert.ok(reference)
  for (let i = 0; i < batch; i++) await post(reference, i)
  const expected = await resultsOf(reference, plain, batch * BATCH_EVENTS)
  for (const name of Object.keys(expected)) assert.deepEqual(results[name], expected[name], name)
  assert.ok(expected.sums.length > 20 && expected.pairs.length > 5 && expected.archive.length > 100 && expected.visits.length > 5)
  assert.ok(restoredCount >= Math.floor(kills / 2), `only ${restoredCount} of ${kills} starts went on from a checkpoint`)
  t.diagnostic(`${batch * BATCH_EVENTS} events, ${restoredCount} starts from a checkpoint, kills by cause ${JSON.stringify(causes)}`)
}
