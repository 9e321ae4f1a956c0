// Random queries over random rows: with a crash before every row, however they are batched, in any number of subtasks and with their state on
// the disk, the rows are the same. RANDOM_SEED=7 RANDOM_COUNT=1000 plays others; `npm run golden:random` also compares with Flink.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { goldenModes, parseGoldenFile, play, rowText } from '../src/engine/golden/index.ts'
import { composedCases, shapedCases } from './random/cases.ts'
import { brokenLaw } from './random/laws.ts'

const seed = Number(process.env.RANDOM_SEED ?? 1)
const count = Number(process.env.RANDOM_COUNT ?? 60)

test(`twice ${count} random queries give the same rows in every mode, seed ${seed}`, () => {
  let rejectedCount = 0
  for (const random of [...composedCases(seed, count), ...shapedCases(seed, count)]) {
    const broken = brokenLaw(random)
    if (broken === 'rejected') rejectedCount++
    else assert.equal(broken, undefined, `${random.name} ${broken?.mode}\n${broken?.lines.join('\n')}\n${random.text}`)
  }
  assert.ok(rejectedCount < count / 5, `${rejectedCount} of twice ${count} cases are rejected: they show little`)
})

const seconds = (...rows: [id: number, at: number][]): string =>
  rows.map(([id, at]) => `{"id":${id},"k":"a","ts":"2026-01-01 00:00:${String(at).padStart(2, '0')}.000"}`).join('\n')
/** A row of each way is not behind what the other way brought: after a pause, too, that had made all partitions idle. */
const paused = `--- input t
${seconds([1, 1], [2, 2])}
@idle
${seconds([3, 21], [4, 22], [5, 40], [6, 41], [7, 60 - 1])}
--- sql
CREATE TABLE t (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts);
`
const window = "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND)"
const meeting = [
  `CREATE VIEW m AS SELECT id, ts FROM t UNION ALL SELECT id + 10 AS id, ts FROM t WHERE k = 'a';
   SELECT window_start, LISTAGG(CAST(id AS STRING)) AS ids FROM TABLE(${window.replace('TABLE t', 'TABLE m')}) GROUP BY window_start, window_end;`,
  `SELECT a.id, b.k FROM (SELECT id, window_start, window_end FROM TABLE(${window})) a JOIN (SELECT * FROM TABLE(${window}) WHERE k = 'a') b
   ON a.window_start = b.window_start AND a.window_end = b.window_end;`,
  "SELECT a.id, b.k FROM t a JOIN t b ON a.id = b.id AND b.ts BETWEEN a.ts - INTERVAL '1' SECOND AND a.ts;",
]
test('rows of one table that meet again after a pause in which its partitions were idle give the same in every mode', () => {
  for (const sql of meeting) {
    const file = parseGoldenFile('paused', `${paused}${sql}\n--- expect\n`)
    const [written, ...others] = goldenModes.map(({ mode }) => play(file, mode))
    assert.ok(written.rows.length >= 4, sql)
    for (const { rows, late } of others) {
      assert.deepEqual(rows.map(rowText).sort(), written.rows.map(rowText).sort(), sql)
      assert.deepEqual(late, [], sql)
    }
  }
})
