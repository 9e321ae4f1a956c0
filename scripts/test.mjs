// npm test: installs what is missing, then runs the checks and every test that needs nothing but npm's registry.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { findNode, root, runNode } from './node24.mjs'
import { prepare } from './prepare.mjs'

const [flag, ...more] = process.argv.slice(2)
if (flag === '--help' || flag === '-h') {
  console.log(
    "Usage: npm test [-- --only-tests]\n\nFormat, lint, types, unused code, then every test that needs nothing but npm's registry: 20 minutes or more.\n\n  --only-tests  no checks before",
  )
  process.exit(0)
}
if ((flag !== undefined && flag !== '--only-tests') || more.length > 0) {
  console.error(`npm test does not know "${flag === '--only-tests' ? more[0] : flag}". Run with --help to see the options.`)
  process.exit(2)
}
await prepare({ console: true })
const bin = (name) => join(root, 'node_modules', '.bin', name)
const steps =
  flag === '--only-tests'
    ? []
    : [
        ['format and lint', bin('biome'), ['ci', '--colors=off', '.']],
        ['types', bin('tsc'), ['--noEmit', '-p', '.']],
        ['types of the console', bin('tsc'), ['--noEmit', '-p', 'console']],
        ['unused code and dependencies', bin('knip'), []],
      ]
for (const [name, command, args] of steps) {
  console.log(`\n# ${name}`)
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) {
    console.error(`\n${name}: failed`)
    process.exit(status ?? 1)
  }
}
console.log('\n# tests of the console')
const vitest = spawnSync(findNode(), [join(root, 'node_modules/vitest/vitest.mjs'), 'run'], {
  cwd: join(root, 'console'),
  stdio: 'inherit',
})
if (vitest.status !== 0) process.exit(vitest.status ?? 1)
console.log('\n# tests')
const patterns = ['src/**/*.test.ts', 'test/*.test.ts', 'test/sim/*.test.ts', 'demo/**/*.test.ts', 'examples/**/*.test.ts']
process.exit(await runNode(['--test', '--test-concurrency=2', '--test-timeout=300000', ...patterns]))
