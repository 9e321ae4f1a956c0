// millrace.config.ts of a project that lies anywhere: it finds the package, and what is wrong in it is said.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeProject, run } from './harness.ts'

test('a configuration finds millrace from any folder; a wrong setting is refused with what it should be', {
  timeout: 120_000,
}, async (t) => {
  const doctor = async (config: string) => {
    const folder = makeProject(t, { 'a.sql': 'CREATE TABLE t (a INT);', 'millrace.config.ts': config })
    const running = run(t, ['doctor', folder, '--port', '0', '--json'])
    await running.exited
    return running.stdout
  }
  const define = (settings: string) => `import { defineConfig } from 'millrace'\nexport default defineConfig(${settings})`
  assert.match(await doctor(define("{ dataFolder: 'somewhere' }")), /"data folder".*somewhere/)
  const wrong: [settings: string, reason: RegExp][] = [
    ['{ parallelizm: 2 }', /CONFIG_INVALID.*there is no setting \\"parallelizm\\"; did you mean \\"parallelism\\"/],
    ["{ port: '80' }", /CONFIG_INVALID.*port is \\"80\\", expected a whole number/],
    ["{ timeZone: 'Mars/Base' }", /CONFIG_INVALID.*timeZone is/],
    [
      "{ backup: { folder: 'b', everyMinute: 5 } }",
      /CONFIG_INVALID.*no setting \\"backup.everyMinute\\"; did you mean \\"backup.everyMinutes\\"/,
    ],
    ["{ kafka: { bootstrap: 'host:9092' } }", /CONFIG_INVALID.*kafka is .*expected an object such as/],
    ["{ filters: [{ on: 'messages', subject: 'orders', name: 'x' }] }", /CONFIG_INVALID.*filters is .*expected filters such as/],
    [
      `{ filters: ['a', 'b'].map((name) => ({ on: 'messages', subject: 'orders', name, where: 'n > 1', isDefault: true })) }`,
      /CONFIG_INVALID.*\\"a\\" and \\"b\\" are both isDefault/,
    ],
    [
      `{ filters: [1, 2].map((n) => ({ on: 'letters', subject: 'orders', name: 'x', where: 'n > ' + n })) }`,
      /CONFIG_INVALID.*two named \\"x\\" for letters of orders/,
    ],
    ['{ port: 80n }', /CONFIG_INVALID.*port is 80n, expected/],
    ['5', /CONFIG_INVALID.*exports no settings/],
  ]
  for (const [settings, reason] of wrong) assert.match(await doctor(define(settings)), reason)
})
