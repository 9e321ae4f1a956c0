// Benchmarks and scripts, as somebody calls them who does not know them: --help tells, what is wrong is one line.
import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { Running } from './harness.ts'

const root = resolve(import.meta.dirname, '..')
const called = async (...args: string[]) => {
  const running = new Running(process.execPath, [...process.execArgv, ...args], { cwd: root })
  const { code } = await running.exited
  return { code, stdout: running.stdout, stderr: running.stderr }
}

test('every benchmark and script answers --help, and says what it does not know in one line', async () => {
  const { stdout } = await called('bench/main.ts', '--help')
  const names = [...stdout.matchAll(/^ {2}(\w+) +\S/gm)].map(([, name]) => name).filter((name) => name !== 'npm')
  assert.ok(names.length >= 15, stdout)
  for (const name of names) {
    const help = await called('bench/main.ts', name, '--help')
    assert.equal(help.code, 0, help.stderr)
    assert.match(help.stdout, new RegExp(`^Usage: npm run bench -- ${name}[^]*takes [^]*--help[^]*Examples\\n  npm run bench -- ${name}`))
  }
  for (const script of ['golden', 'goldenRandom', 'build'])
    assert.match((await called(`scripts/${script}.ts`, '--help')).stdout, /^Usage: npm run /)
  assert.match((await called('scripts/test.mjs', '--help')).stdout, /^Usage: npm test/)
  assert.match((await called('test/sim/main.ts', '--help')).stdout, /^Usage: npm run sim/)
  const wrong = [
    ...['json', 'kafka', 'views'].map((name) => ['bench/main.ts', name, '--nonsense']),
    ['bench/main.ts', 'soak', '--minutes', 'many'],
    ['bench/main.ts', 'log', '--seconds='],
    ...globSync('{scripts/*.ts,test/sim/main.ts}', { cwd: root, exclude: ['scripts/options.ts'] }).map((script) => [script, '--nonsense']),
    ['scripts/test.mjs', '--nonsense'],
  ]
  for (const args of wrong) {
    const { code, stderr } = await called(...args)
    assert.deepEqual([code, stderr.trim().split('\n').length], [2, 1], `${args.join(' ')}: ${stderr}`)
    assert.match(stderr, /Run with --help/)
  }
})
