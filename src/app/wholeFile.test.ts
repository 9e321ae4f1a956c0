import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { removeUnfinished, writeWhole } from './wholeFile.ts'

const TURNS_MAX = 200

test('what a killed process had begun to write is removed, and the file is as it was; the files of people stay', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-whole-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'a.sql')
  writeFileSync(`${path}.new`, 'mine')
  writeWhole(path, 'x'.repeat(8_000_000))
  const code = `const { writeWhole } = await import(${JSON.stringify(new URL('./wholeFile.ts', import.meta.url).href)})
    const text = 'x'.repeat(8_000_000)
    for (;;) writeWhole(${JSON.stringify(path)}, text)`
  for (let turn = 0; readdirSync(folder).length < 3; turn++) {
    assert.ok(turn < TURNS_MAX, 'none was killed while it wrote')
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'ignore' })
    const ended = once(child, 'exit')
    // Node runs it first, and then it writes nearly all the time.
    await sleep(100 + turn * 5)
    child.kill('SIGKILL')
    assert.equal((await ended)[1], 'SIGKILL')
  }
  removeUnfinished(folder)
  assert.deepEqual(readdirSync(folder).sort(), ['a.sql', 'a.sql.new'])
  assert.equal(readFileSync(path).length, 8_000_000)
  // One that cannot be put in its place is not left there either.
  mkdirSync(join(folder, 'b.sql'))
  assert.throws(() => writeWhole(join(folder, 'b.sql'), 'x'))
  assert.deepEqual(readdirSync(folder).sort(), ['a.sql', 'a.sql.new', 'b.sql'])
})
