import assert from 'node:assert/strict'
import { execFile as execFileOf } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { CRASH_KEEPS, referenceChanges, runCrashPoint, runSeed } from './run.ts'

const execFile = promisify(execFileOf)

// Another process has loaded, compiled and played other things before.
test('a seed gives the same trace each time, byte for byte, in another process too', async () => {
  const traceOf = async (seed: number): Promise<string> => {
    const lines: string[] = []
    const { violation, hash } = await runSeed(seed, (line) => lines.push(line))
    assert.equal(violation, undefined)
    return [...lines, `seed ${seed}: holds, trace ${hash}`, ''].join('\n')
  }
  const main = fileURLToPath(new URL('main.ts', import.meta.url))
  for (const seed of [1, 7, 28]) {
    const first = await traceOf(seed)
    assert.equal(await traceOf(seed), first)
    const { stdout } = await execFile(process.execPath, [...process.execArgv, main, '--seed', String(seed)], { maxBuffer: 1 << 26 })
    assert.equal(stdout, first)
  }
})

test('thirty seeds of mixed faults hold', async () => {
  for (let seed = 1; seed <= 30; seed++) assert.equal((await runSeed(seed)).violation, undefined, `npm run sim -- --seed ${seed}`)
})

// All of them: npm run sim -- --crash-points
for (const workload of ['plain', 'scaled'] as const)
  test(`the ${workload} reference workload crashed after some of the calls that change the disk`, async () => {
    const every = Math.ceil((await referenceChanges(workload)) / 8)
    for (let i = 0; i < 8; i++) {
      const point = { workload, afterChanges: i * every + (i % every), keep: CRASH_KEEPS[i % CRASH_KEEPS.length] }
      assert.equal((await runCrashPoint(point)).violation, undefined, JSON.stringify(point))
    }
  })
