import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { loadConfig } from './config.ts'

test('the demo begins anew each time: its data is below where that of a project would be, and said to come from there', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-config-'))
  const before = process.env.MILLRACE_DATA
  t.after(() => {
    rmSync(folder, { recursive: true })
    if (before === undefined) delete process.env.MILLRACE_DATA
    else process.env.MILLRACE_DATA = before
  })
  const dataOf = async (flags: { data?: string }, isDemo: boolean) => {
    const config = await loadConfig(folder, flags, isDemo)
    return [config.dataFolder, config.originOf('dataFolder')]
  }
  delete process.env.MILLRACE_DATA
  assert.deepEqual(await dataOf({}, true), [resolve('.millrace/demo'), { kind: 'default' }])
  assert.deepEqual(await dataOf({}, false), [join(folder, '.millrace'), { kind: 'default' }])
  process.env.MILLRACE_DATA = '/var/lib/millrace'
  const variable = { kind: 'environment', name: 'MILLRACE_DATA' }
  assert.deepEqual(await dataOf({}, true), ['/var/lib/millrace/demo', variable])
  assert.deepEqual(await dataOf({}, false), ['/var/lib/millrace', variable])
  assert.deepEqual(await dataOf({ data: '/x' }, true), ['/x', { kind: 'flag', name: '--data' }])
})
