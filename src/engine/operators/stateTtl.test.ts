// State with a time to live, on a clock of the test: what has expired is as if it had never been, wherever the operator is restored.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Field } from '../../data/index.ts'
import { bindScript, Catalog, inputsOf, type Plan } from '../../sql/index.ts'
import { play, type Step } from './testing.ts'

const tables = `CREATE TABLE a (k STRING, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts);
CREATE TABLE b (k STRING, w INT);`
const nodeOf = (plan: Plan, node: Plan['node']): Plan | undefined =>
  plan.node === node ? plan : inputsOf(plan).flatMap((input) => nodeOf(input, node) ?? [])[0]

/** The node of that kind in the plan of a query, and the fields of its inputs. */
function planned(sql: string, node: Plan['node'], settings = "SET 'table.exec.state.ttl' = '10 s';"): { plan: Plan; inputs: Field[][] } {
  const bound = bindScript(`${settings}\n${tables}\n${sql};`, new Catalog()).at(-1)!
  assert.equal(bound.type, 'query')
  const plan = nodeOf((bound as { query: Plan }).query, node)!
  assert.ok(plan, `the plan has no ${node}`)
  return { plan, inputs: inputsOf(plan).map((input) => input.fields) }
}
const changes = ({ plan, inputs }: { plan: Plan; inputs: Field[][] }, steps: Step[], restoreAt?: 'all') => {
  const { rows, kinds } = play(plan, inputs, steps, { restoreAt, finish: false })
  return rows.map((row, i) => `${kinds[i]} ${row.join(' ')}`)
}
const bothWays = (node: { plan: Plan; inputs: Field[][] }, steps: Step[]): string[] => {
  const plain = changes(node, steps)
  assert.deepEqual(changes(node, steps, 'all'), plain, 'a restore changes the result')
  return plain
}

test('a group that got no row for its time to live begins anew, and takes nothing back', () => {
  const counted = planned('SELECT k, COUNT(*) AS n FROM a GROUP BY k', 'groupAggregate')
  const steps: Step[] = [{ row: ['x'] }, { tickMs: 9_999 }, { row: ['x'] }, { tickMs: 19_998 }, { row: ['x'] }, { tickMs: 29_998 }, { row: ['x'] }] // biome-ignore format: one thought
  assert.deepEqual(bothWays(counted, steps), ['+I x 1', '-U x 1', '+U x 2', '-U x 2', '+U x 3', '+I x 1'])
})

test('a hint says more than the setting, and 0 keeps state for ever', () => {
  const steps: Step[] = [{ row: ['x'] }, { tickMs: 3_600_000 }, { row: ['x'] }]
  const hinted = planned("SELECT /*+ STATE_TTL('a' = '2 h') */ k, COUNT(*) AS n FROM a GROUP BY k", 'groupAggregate')
  assert.deepEqual(bothWays(hinted, steps), ['+I x 1', '-U x 1', '+U x 2'])
  const never = planned('SELECT k, COUNT(*) AS n FROM a GROUP BY k', 'groupAggregate', "SET 'table.exec.state.ttl' = '0';")
  assert.deepEqual(bothWays(never, steps), ['+I x 1', '-U x 1', '+U x 2'])
})

test('the sides of a join keep their rows as long as each is told', () => {
  const sql = "SELECT /*+ STATE_TTL('a' = '5 s', 'b' = '1 min') */ a.v, b.w FROM a JOIN b ON a.k = b.k"
  const joined = planned(sql, 'join', '')
  const [left, right] = joined.inputs.map((fields) => (k: string, n: number) => fields.map(({ name }) => (name === 'k' ? k : name === 'ts' ? 0 : n))) // biome-ignore format: one thought
  const steps: Step[] = [
    { row: left('x', 1) },
    { row: right('x', 10), input: 1 },
    { tickMs: 5_000 },
    // The left row is gone, the right one is still there.
    { row: right('x', 11), input: 1 },
    { row: left('x', 2) },
    { tickMs: 65_000 },
    { row: left('x', 3) },
  ]
  const pairs = bothWays(joined, steps).map((line) => line.replace(/x|0 x/g, '').split(/ +/).filter(Boolean).join(' ')) // biome-ignore format: one thought
  assert.equal(pairs.length, 3, pairs.join('\n'))
  assert.ok(pairs[0].includes('1') && pairs[0].includes('10'))
  assert.ok(pairs.slice(1).every((pair) => pair.includes('2')))
})

test('the last row of a key is forgotten after its time to live', () => {
  const sql = 'SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS rn FROM a) WHERE rn = 1'
  const kept = planned(sql, 'deduplicate')
  const [fields] = kept.inputs
  const row = (v: number, ts: number): unknown[] => fields.map(({ name }) => ({ k: 'x', v, ts })[name])
  const kinds = bothWays(kept, [{ row: row(1, 5) }, { tickMs: 9_000 }, { row: row(2, 6) }, { tickMs: 19_000 }, { row: row(3, 1) }]).map((line) => line.slice(0, 2)) // biome-ignore format: one thought
  assert.deepEqual(kinds, ['+I', '-U', '+U', '+I'])
})

test('counts with a time to live equal a recount, however batched and wherever restored', () => {
  const counted = planned('SELECT k, COUNT(*) AS n, SUM(v) AS s FROM a GROUP BY k', 'groupAggregate')
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ row: fc.tuple(fc.constantFrom('x', 'y', null), fc.integer({ min: 0, max: 3 })) }) },
    fc.record({ byMs: fc.integer({ min: 1, max: 9_000 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.integer({ min: 0, max: 20 }), (history, restoreAt) => {
      let nowMs = 0
      const groups = new Map<string | null, { n: number; s: number; lastMs: number }>()
      const steps: Step[] = []
      for (const one of history) {
        if ('byMs' in one) steps.push({ tickMs: (nowMs += one.byMs) })
        else {
          const [k, v] = one.row
          steps.push({ row: [k, v] })
          const old = groups.get(k)
          const { n, s } = old && old.lastMs + 10_000 > nowMs ? old : { n: 0, s: 0 }
          groups.set(k, { n: n + 1, s: s + v, lastMs: nowMs })
        }
      }
      const { rows } = play(counted.plan, counted.inputs, steps, { restoreAt, finish: false, batchRowCountMax: 3 })
      const last = new Map(rows.map((row) => [row[0], row]))
      assert.deepEqual([...last.values()], [...last.keys()].map((k) => [k, BigInt(groups.get(k as string)!.n), groups.get(k as string)!.s])) // biome-ignore format: one thought
    }),
  )
})

test('the setting holds for INSERT and materialized tables, too', () => {
  const sink = "CREATE TABLE s (k STRING, n BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'upsert-kafka');"
  const select = 'SELECT k, COUNT(*) AS n FROM a GROUP BY k'
  const ttlOf = (statement: string) => {
    const bound = bindScript(`SET 'table.exec.state.ttl' = '10 s';\n${tables}\n${sink}\n${statement};`, new Catalog()).at(-1)!
    const plan = nodeOf((bound as { query: Plan }).query, 'groupAggregate')
    return plan?.node === 'groupAggregate' ? plan.ttlMs : undefined
  }
  assert.equal(ttlOf(`INSERT INTO s ${select}`), 10_000)
  assert.equal(ttlOf(`CREATE MATERIALIZED TABLE m (PRIMARY KEY (k) NOT ENFORCED) AS ${select}`), 10_000)
})
