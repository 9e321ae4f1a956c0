// npm run sim: plays seeds on all cores, and says of each that fails how to play it again.
import { availableParallelism } from 'node:os'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { parsedArgs } from '../../scripts/options.ts'
import { missingHits } from './coverage.ts'
import { plant, plantedBugs } from './plantedBugs.ts'
import type { CrashPoint, RunResult } from './run.ts'

const help = `Usage: npm run sim -- [--seed N | --seeds N [--from N] | --crash-points] [options]

Plays the whole system in one thread from a seed: producers, consumers and queries, over a disk, a network and a clock that fail as the seed says,
with crashes at any call of the disk. A model that shares no code with the product checks what was acknowledged, read and computed.
The same seed gives the same trace, byte for byte; its hash is printed.

  --seed N       one seed, with its trace
  --seeds N      so many seeds, from --from on (default 100)
  --crash-points two reference workloads (one in several subtasks with its state on the disk), crashed after each call that changes the disk,
                 with what was not synced kept, dropped, torn
  --every N      with --crash-points: only each Nth of those calls
  --from N       the first seed (default 1)
  --bit-flips N  flips so many bits of data folders instead, one at a time, from --from on: each must be told or harmless
  --workers N    threads (default: one for each core)
  --quiet        with --seed: no trace
  --bug NAME     plants a bug into the product while it is loaded, to see that it is found: ${Object.keys(plantedBugs).join(', ')}
  --until-found  ends at the first seed that fails; the exit code is 0 if one did
  --json         one JSON line for each seed that fails, and one at the end

Examples
  npm run sim -- --seeds 600
  npm run sim -- --seed 4711
  npm run sim -- --crash-points
  npm run sim -- --bug skip-fsync --seeds 1000 --until-found`

interface Task {
  bug?: string
}
/** What a worker says of a seed: the map of hits as pairs. */
type Said = Omit<RunResult, 'hits'> & { hits: [string, number][] }

if (isMainThread) await main()
else {
  const { bug } = workerData as Task
  if (bug) plant(bug)
  const { runCrashPoint, runSeed } = await import('./run.ts')
  parentPort!.on('message', async (work: number | CrashPoint) => {
    const { hits, ...rest } = await (typeof work === 'number' ? runSeed(work) : runCrashPoint(work))
    parentPort!.postMessage({ ...rest, hits: [...hits] } satisfies Said)
  })
  parentPort!.postMessage(undefined)
}

async function main(): Promise<void> {
  const { values: flags } = parsedArgs(help, {
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string', default: '100' },
      from: { type: 'string', default: '1' },
      'bit-flips': { type: 'string' },
      workers: { type: 'string', default: String(availableParallelism()) },
      bug: { type: 'string' },
      'crash-points': { type: 'boolean', default: false },
      every: { type: 'string', default: '1' },
      quiet: { type: 'boolean', default: false },
      'until-found': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  })
  const whole = (name: 'seed' | 'seeds' | 'from' | 'workers' | 'every' | 'bit-flips'): number => {
    const value = Number(flags[name])
    if (Number.isSafeInteger(value) && value >= 0) return value
    console.error(`--${name} wants a whole number, not "${flags[name]}"`)
    process.exit(2)
  }
  if (flags.bug !== undefined && !(flags.bug in plantedBugs)) {
    console.error(`There is no bug "${flags.bug}". Known: ${Object.keys(plantedBugs).join(', ')}.`)
    process.exit(2)
  }
  const workers = Math.max(1, whole('workers'))
  if (flags['bit-flips'] !== undefined) await flip(whole('bit-flips'), whole('from'))
  else if (flags.seed !== undefined) await playOne(whole('seed'), flags)
  else if (flags['crash-points']) await playCrashPoints(Math.max(1, whole('every')), workers, flags)
  else {
    const seeds = Array.from({ length: whole('seeds') }, (_, i) => whole('from') + i)
    await playMany(seeds, workers, flags)
  }
}

async function flip(flips: number, seed: number): Promise<void> {
  const { flipBits } = await import('./bitFlips.ts')
  const startedMs = performance.now()
  const report = await flipBits(flips, seed, (done) => {
    if (process.stderr.isTTY && done % 50 === 0) process.stderr.write(`\r${done} of ${flips}`)
  })
  console.log(JSON.stringify({ ...report, seed, seconds: Math.round((performance.now() - startedMs) / 1_000) }))
}

async function playOne(seed: number, { bug, quiet, json }: { bug?: string; quiet: boolean; json: boolean }): Promise<void> {
  if (bug) plant(bug)
  const { runSeed } = await import('./run.ts')
  const { hash, violation } = await runSeed(seed, quiet || json ? undefined : console.log)
  if (json) console.log(JSON.stringify({ seed, hash, violation }))
  else console.log(violation === undefined ? `seed ${seed}: holds, trace ${hash}` : `seed ${seed}: FAILS, trace ${hash}\n${violation}`)
  if (violation !== undefined) process.exitCode = 1
}

interface ManyFlags {
  bug?: string
  json: boolean
  'until-found': boolean
}

async function playCrashPoints(every: number, workers: number, flags: ManyFlags): Promise<void> {
  const { CRASH_KEEPS, referenceChanges } = await import('./run.ts')
  const points: CrashPoint[] = []
  const counts: string[] = []
  for (const workload of ['plain', 'scaled'] as const) {
    const changes = await referenceChanges(workload)
    for (let afterChanges = 0; afterChanges < changes; afterChanges += every)
      points.push(...CRASH_KEEPS.map((keep) => ({ workload, afterChanges, keep })))
    counts.push(`the ${workload} workload changes the disk ${changes} times`)
  }
  await playMany(points, workers, flags)
  if (!flags.json)
    console.log(
      `${counts.join(', ')}; it was crashed after ${every === 1 ? 'each' : `each ${every}th`} of them, in ${CRASH_KEEPS.length} ways`,
    )
}

async function playMany(tasks: readonly (number | CrashPoint)[], workers: number, flags: ManyFlags): Promise<void> {
  const isSeeds = typeof tasks[0] === 'number'
  const what = isSeeds ? 'seeds' : 'crash states'
  const count = tasks.length
  const startedMs = Date.now()
  const hits = new Map<string, number>()
  const failed: Said[] = []
  let next = 0
  let done = 0
  let isOver = false
  const isTerminal = process.stderr.isTTY
  const progress = () => {
    const seconds = (Date.now() - startedMs) / 1000
    const text = `${done} of ${count} ${what}, ${failed.length} fail, ${(done / seconds).toFixed(1)}/s`
    process.stderr.write(isTerminal ? `\r${text}   ` : `${text}\n`)
  }
  const timer = setInterval(progress, isTerminal ? 500 : 60_000)
  const work = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: { bug: flags.bug } satisfies Task })
      worker.on('error', reject)
      worker.on('exit', () => resolve())
      let task: number | CrashPoint | undefined
      worker.on('message', (said: Said | undefined) => {
        if (said) {
          done++
          for (const [what, times] of said.hits) hits.set(what, (hits.get(what) ?? 0) + times)
          if (said.violation !== undefined) {
            failed.push(said)
            if (flags['until-found']) isOver = true
            const { hits: _, ...rest } = said
            if (flags.json) console.log(JSON.stringify(rest))
            else
              console.log(
                typeof task === 'number'
                  ? `seed ${said.seed} FAILS: ${said.violation}\n  npm run sim -- --seed ${said.seed}${flags.bug ? ` --bug ${flags.bug}` : ''}`
                  : `${task!.workload} workload, crash after ${said.seed} changes, ${task!.keep === 'kill' ? 'killed' : `power cut keeping ${task!.keep}`}: FAILS: ${said.violation}`,
              )
          }
        }
        if (isOver || next >= count) void worker.terminate()
        else {
          task = tasks[next++]
          worker.postMessage(task)
        }
      })
    })
  await Promise.all(Array.from({ length: Math.min(workers, count) }, work))
  clearInterval(timer)
  if (isTerminal) process.stderr.write('\n')
  const missing = flags.bug === undefined && isSeeds ? missingHits(hits, count) : []
  const seconds = (Date.now() - startedMs) / 1000
  if (flags.json)
    console.log(
      JSON.stringify({
        [isSeeds ? 'seeds' : 'crashStates']: done,
        failed: failed.length,
        seconds,
        hits: Object.fromEntries([...hits].sort()),
        missing,
      }),
    )
  else {
    for (const [what, times] of [...hits].sort()) console.log(`${String(times).padStart(9)}  ${what}`)
    for (const what of missing) console.log(`${'0'.padStart(9)}  ${what}: NEVER`)
    console.log(
      `${done} ${what} in ${seconds.toFixed(1)} s: ${failed.length} fail${missing.length > 0 ? `, ${missing.length} faults never hit` : ''}`,
    )
  }
  const isFound = flags['until-found'] ? failed.length > 0 : failed.length === 0
  if (!isFound || missing.length > 0) process.exitCode = 1
}
