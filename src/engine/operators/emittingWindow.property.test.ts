// Windows that show results early and late: against a recount, however batched, whenever the clock ticks, wherever restored.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bindScript, Catalog, inputsOf, type Plan } from '../../sql/index.ts'
import { play, rowText, type Step } from './testing.ts'

const tables = 'CREATE TABLE a (ts TIMESTAMP(3), k STRING, v INT, WATERMARK FOR ts AS ts);'
const nodeOf = (plan: Plan): Plan => (plan.node === 'windowAggregate' ? plan : nodeOf(inputsOf(plan)[0]))
const planned = (settings: Record<string, string>, window: string) => {
  const sets = Object.entries(settings).map(([key, value]) => `SET 'table.exec.emit.${key}' = '${value}';`)
  const sql = `${sets.join('\n')}\n${tables}\nSELECT k, COUNT(*), SUM(v), ${window.replace('(', '_END(')} FROM a GROUP BY k, ${window};`
  return nodeOf((bindScript(sql, new Catalog()).at(-1) as { query: Plan }).query)
}
const early = (delay: string) => ({ 'early-fire.enabled': 'true', 'early-fire.delay': delay })
const late = (delay: string) => ({ 'late-fire.enabled': 'true', 'late-fire.delay': delay, 'allow-lateness': '8 ms' })
const settingsArb = fc.constantFrom(early('0 ms'), early('4 ms'), late('0 ms'), late('4 ms'), { ...early('4 ms'), ...late('3 ms') }) // biome-ignore format: a list
const TUMBLE = "TUMBLE(ts, INTERVAL '0.01' SECOND)"
const HOP = "HOP(ts, INTERVAL '0.005' SECOND, INTERVAL '0.01' SECOND)"

type Move = [timeMs: number, key: string | null, value: number] | { watermarkMs: number } | { tickMs: number }
const moves = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.tuple(fc.integer({ min: -5, max: 40 }), fc.constantFrom('x', 'y', null), fc.integer({ min: 0, max: 9 })) },
    { weight: 2, arbitrary: fc.record({ watermarkMs: fc.integer({ min: 0, max: 9 }) }) },
    { weight: 2, arbitrary: fc.record({ tickMs: fc.integer({ min: 1, max: 6 }) }) },
  ),
  { maxLength: 30 },
)
/** Watermarks and ticks go on from where they are. */
function historyOf(list: Move[]): Step[] {
  let [watermarkMs, nowMs] = [0, 1]
  return list.map((move): Step => {
    if (Array.isArray(move)) return { row: move }
    if ('tickMs' in move) return { tickMs: (nowMs += move.tickMs) }
    return { watermarkMs: (watermarkMs += move.watermarkMs) }
  })
}

/** Counts each row in each of its windows that was not forgotten for the watermark before it. */
function recount(history: Step[], slideMs: number, latenessMs: number): { table: string[]; lateCount: number } {
  const groups = new Map<string, { k: string | null; end: number; n: bigint; sum: number }>()
  let watermarkMs = -Infinity
  let lateCount = 0
  for (const step of history) {
    if ('watermarkMs' in step) watermarkMs = Math.max(watermarkMs, step.watermarkMs)
    if (!('row' in step)) continue
    const [timeMs, k, v] = step.row as [number, string | null, number]
    let taken = 0
    for (let end = Math.floor(timeMs / slideMs) * slideMs + slideMs; end - 10 <= timeMs; end += slideMs) {
      if (end - 1 + latenessMs <= watermarkMs) continue
      taken++
      const id = `${k} ${end}`
      const group = groups.get(id) ?? { k, end, n: 0n, sum: 0 }
      groups.set(id, { ...group, n: group.n + 1n, sum: group.sum + v })
    }
    if (taken === 0) lateCount++
  }
  return { table: [...groups.values()].map(({ k, end, n, sum }) => rowText([k, n, sum, end])).sort(), lateCount }
}

test('the last results are a recount, and every retraction takes back what was shown', () => {
  const options = fc.record({
    batchRowCountMax: fc.integer({ min: 1, max: 9 }),
    restoreAt: fc.oneof(fc.nat(10), fc.constant('all' as const)),
  })
  fc.assert(
    fc.property(moves, settingsArb, fc.constantFrom(TUMBLE, HOP), options, (list, settings, window, play_) => {
      const plan = planned(settings, window)
      const history = historyOf(list)
      const played = play(plan, [inputsOf(plan)[0].fields], history, play_)
      const { table, lateCount } = recount(history, window === HOP ? 5 : 10, 'allow-lateness' in settings ? 8 : 0)
      assert.deepEqual([...played.table].sort(), table)
      assert.equal(played.late.length, lateCount)
    }),
    { numRuns: 600 },
  )
})

const changes = (plan: Plan, steps: Step[]): string[] => {
  const { rows, kinds } = play(plan, [inputsOf(plan)[0].fields], steps, { finish: false })
  return rows.map(([, n, sum], i) => `${kinds[i]} ${n} ${sum}`)
}
test('early: with every row for no delay, else as long after the first row as the delay says', () => {
  const steps: Step[] = [
    { row: [1, 'x', 1] },
    { tickMs: 3 },
    { row: [2, 'x', 2] },
    { tickMs: 4 },
    { tickMs: 7 },
    { tickMs: 8 },
    { watermarkMs: 9 },
  ]
  assert.deepEqual(changes(planned(early('0 ms'), TUMBLE), steps), ['+I 1 1', '-U 1 1', '+U 2 3'])
  assert.deepEqual(changes(planned(early('4 ms'), TUMBLE), steps), ['+I 2 3'])
})
test('late: a closed window goes on to take rows until the lateness is over', () => {
  const steps: Step[] = [{ row: [1, 'x', 1] }, { watermarkMs: 9 }, { row: [2, 'x', 2] }, { watermarkMs: 16 }, { row: [3, 'x', 4] }, { watermarkMs: 17 }, { row: [3, 'x', 8] }] // biome-ignore format: one thought
  assert.deepEqual(changes(planned(late('0 ms'), TUMBLE), steps), ['+I 1 1', '-U 1 1', '+U 2 3', '-U 2 3', '+U 3 7'])
  assert.deepEqual(changes(planned(late('4 ms'), TUMBLE), steps), ['+I 1 1', '-U 1 1', '+U 3 7'])
})

const errorOf = (sql: string): string => {
  try {
    bindScript(sql, new Catalog())
  } catch (error) {
    return (error as { code: string }).code
  }
  return ''
}
test('settings that say too little, and windows that cannot emit so, are refused; their twins are not', () => {
  const set = (key: string, value: string) => `SET 'table.exec.emit.${key}' = '${value}';`
  const on = set('early-fire.enabled', 'true')
  const legacy = `${tables} SELECT COUNT(*) FROM a GROUP BY ${TUMBLE};`
  const tvf = `${tables} SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY window_start, window_end;`
  assert.equal(errorOf(`${on} ${legacy}`), 'SQL_SETTING_INVALID')
  assert.equal(errorOf(`${on} ${set('early-fire.delay', '1 s')} ${legacy}`), '')
  assert.equal(errorOf(`${set('late-fire.enabled', 'true')} ${set('late-fire.delay', '1 s')} ${legacy}`), 'SQL_SETTING_INVALID')
  assert.equal(errorOf(`${on} ${set('early-fire.delay', '1 s')} ${tvf}`), 'SQL_NOT_SUPPORTED')
  assert.equal(errorOf(`${set('early-fire.delay', '1 s')} ${tvf}`), '')
  const sessions = legacy.replace('TUMBLE', 'SESSION')
  assert.equal(errorOf(`${on} ${set('early-fire.delay', '1 s')} ${sessions}`), 'SQL_NOT_SUPPORTED')
  assert.equal(errorOf(sessions), '')
})
