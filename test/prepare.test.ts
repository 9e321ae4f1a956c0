// What makes a checkout ready: two starts at once, and one that died in the middle. The build is played: what counts is who does it, and when.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'

const build = `
const { appendFileSync, existsSync, mkdirSync, writeFileSync } = require('node:fs')
const out = process.argv[process.argv.indexOf('--outDir') + 1]
appendFileSync('../builds', existsSync('dist/index.html') ? 'old one there\\n' : 'first\\n')
setTimeout(() => { mkdirSync(out, { recursive: true }); writeFileSync(out + '/index.html', '') }, 700)
`

test('of two starts at once one builds the console and the other waits; a lock of a dead process holds nobody up', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'millrace-prepare-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  cpSync(resolve('scripts'), join(root, 'scripts'), { recursive: true })
  for (const folder of ['console/src', 'node_modules/vite/bin']) mkdirSync(join(root, folder), { recursive: true })
  writeFileSync(join(root, 'node_modules/vite/bin/vite.js'), build)
  const start = async () => {
    const code = `import('${join(root, 'scripts/prepare.mjs')}').then((prepare) => prepare.buildConsole())`
    const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'inherit', 'pipe'] })
    let said = ''
    child.stderr.on('data', (text) => (said += text))
    const [exit] = await once(child, 'close')
    assert.equal(exit, 0, said)
    return said
  }
  const builds = () => readFileSync(join(root, 'builds'), 'utf8')
  const lock = join(root, 'node_modules/.millrace-preparing')

  // As one leaves it that ended without a word: no process has so high a number.
  writeFileSync(lock, '999999999')
  const said = await Promise.all([start(), start(), start()])
  assert.equal(builds(), 'first\n')
  assert.equal(said.filter((one) => one.startsWith('Building')).length, 1)
  assert.equal(said.filter((one) => one.startsWith('Waiting')).length, 2)
  assert.equal(existsSync(lock), false)

  // Killed while it looked at such a lock.
  rmSync(join(root, 'console/dist'), { recursive: true })
  writeFileSync(lock, '999999999')
  writeFileSync(`${lock}.look`, '999999999')
  utimesSync(`${lock}.look`, new Date(0), new Date(0))
  await start()
  assert.equal(builds(), 'first\nfirst\n')
  assert.equal(existsSync(`${lock}.look`), false)

  assert.equal(await start(), '')
  writeFileSync(join(root, 'console/src/new.ts'), '')
  await start()
  assert.equal(builds(), 'first\nfirst\nold one there\n')
  assert.ok(existsSync(join(root, 'console/dist/index.html')) && !existsSync(join(root, 'console/dist.new')))
})
