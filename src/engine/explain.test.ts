// What EXPLAIN says of each step of all golden queries, against the operator that the graph would make for it.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { BatchMemory } from '../data/index.ts'
import { FakeDisk } from '../log/fakeDisk.ts'
import { bindScript, Catalog, explainNode, inputsOf, type Plan } from '../sql/index.ts'
import { limitsOf } from './explain.ts'
import { buildOperator } from './operators/index.ts'
import { Memory } from './spill/memory.ts'
import { SpillFiles } from './spill/spillFiles.ts'
import { SpillingOperator } from './spill/spillingOperator.ts'

const golden = resolve(import.meta.dirname, '../../test/golden')
const nodesOf = (plan: Plan): Plan[] => [plan, ...inputsOf(plan).flatMap(nodesOf)]
const runtimeNodes: ReadonlySet<Plan['node']> = new Set(['scan', 'values', 'calc', 'watermark', 'union'])

function planOf(path: string): Plan | undefined {
  const sql = readFileSync(path, 'utf8')
    .split(/^--- /m)
    .find((section) => section.startsWith('sql\n'))
  const bound = bindScript(sql!.slice('sql\n'.length), new Catalog()).at(-1)
  return bound?.type === 'query' ? bound.query : undefined
}

test('a step is said to keep its state in memory where it does, and nowhere else', () => {
  const memory = new Memory()
  const files = new SpillFiles(new FakeDisk(), 'spill', 'test')
  const seen = { divides: 0, stays: 0 }
  for (const file of globSync('*/*.test', { cwd: golden }).filter((name) => !name.startsWith('errors'))) {
    const plan = planOf(resolve(golden, file))
    if (plan === undefined) continue
    const notes = limitsOf(plan).join('')
    for (const node of nodesOf(plan)) {
      if (runtimeNodes.has(node.node)) continue
      const inputFields = inputsOf(node).map(({ fields }) => fields)
      const context = { emit: () => {}, memory: new BatchMemory(), count: () => {}, late: () => {}, rowFailed: () => {}, inputFields, outputFields: node.fields } // biome-ignore format: one thought
      const operator = SpillingOperator.around(node, context, { memory, files, merges: false, forward: () => {}, build: (of) => buildOperator(node, of) }) // biome-ignore format: one thought
      const stays = !(operator instanceof SpillingOperator) && operator.snapshot !== undefined
      assert.equal(notes.includes(`${explainNode(node)}: its state stays`), stays, `${file}: ${explainNode(node)}`)
      seen[stays ? 'stays' : 'divides']++
    }
  }
  assert.ok(seen.divides > 100 && seen.stays > 10, JSON.stringify(seen))
})

test('the reason is said', () => {
  const textOf = (sql: string) => {
    const bound = bindScript(`CREATE TABLE a (k INT, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts);\n${sql};`, new Catalog()).at(-1)!
    return limitsOf((bound as { query: Plan }).query).join('')
  }
  assert.match(textOf('SELECT COUNT(*) FROM a'), /stays in memory and all its rows meet in one subtask, as it has no GROUP BY$/)
  assert.match(textOf('SELECT x.v FROM a x JOIN a y ON x.v > y.v'), /as it has no equality of columns$/)
  assert.match(textOf('SELECT v FROM a WHERE v NOT IN (SELECT k FROM a)'), /as NOT IN compares each row with all/)
  assert.match(textOf('SELECT v FROM a ORDER BY v LIMIT 3'), /as it (orders|has)/)
  assert.doesNotMatch(textOf('SELECT k, COUNT(*) FROM a GROUP BY k'), /memory/)
})
