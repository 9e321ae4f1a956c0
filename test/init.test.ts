// A new user's first minute: `millrace init`, and what it says comes next.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeProject, run, startServer, untilRows } from './harness.ts'

test('init makes a project that runs, and whose test passes; it writes over nothing', { timeout: 120_000 }, async (t) => {
  const folder = join(makeProject(t, { '.gitignore': 'node_modules/' }), 'shop')
  const init = async () => {
    const running = run(t, ['init', folder, '--json'])
    return { code: (await running.exited).code, json: running.lines<{ files: string[]; error?: { code: string } }>()[0] }
  }
  const made = await init()
  assert.equal(made.code, 0)
  assert.ok(made.json.files.includes('pipelines/orders.sql'))
  assert.equal(readFileSync(join(folder, '.gitignore'), 'utf8'), '.millrace/\ncertificates/\n')

  const tested = run(t, ['test', folder, '--json'])
  assert.equal((await tested.exited).code, 0, tested.stdout)
  assert.deepEqual(tested.lines<object>().at(-1), { passed: 1, failed: 0, unreadable: 0 })

  const server = await startServer(t, folder)
  const { status } = await server.post('orders', readFileSync(join(folder, 'events/orders.ndjson'), 'utf8'))
  assert.equal(status, 202)
  await untilRows(server, 'revenue', [
    ['2026-01-01 12:00:00.000', 'ana', 1, 19.99],
    ['2026-01-01 12:00:00.000', 'bo', 1, 7],
  ])

  // What comes next can be copied, whatever the folder is called.
  const odd = join(folder, "Ana's shop")
  const said = run(t, ['init', odd, '--json'])
  await said.exited
  const { next } = said.lines<{ next: string[] }>()[0]
  for (const command of [next[0], next.at(-1)!]) {
    const words = execFileSync('sh', ['-c', `printf '%s\\n' ${command}`], { encoding: 'utf8' })
    assert.deepEqual(words.trim().split('\n').slice(2), [odd])
  }

  writeFileSync(join(folder, 'pipelines/orders.sql'), '-- mine')
  rmSync(join(folder, 'tests'), { recursive: true })
  const again = await init()
  assert.deepEqual([again.code, again.json.error?.code], [1, 'PROJECT_EXISTS'])
  assert.equal(readFileSync(join(folder, 'pipelines/orders.sql'), 'utf8'), '-- mine')
})
