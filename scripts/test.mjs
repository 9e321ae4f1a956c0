// npm test: installs what is missing, then runs the checks and every test that needs nothing but npm's registry.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { findNode, root, runNode } from './node24.mjs'
import { prepare } from './prepare.mjs'

await prepare({ console: true })
const bin = (name) => join(root, 'node_modules', '.bin', name)
const steps = process.argv.includes('--only-tests')
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
