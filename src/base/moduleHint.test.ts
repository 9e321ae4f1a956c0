// What Node says of a module in a CommonJS package is what the hint knows.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { moduleHint } from './moduleHint.ts'

test('a file with import or export below a package.json of CommonJS', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-module-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'package.json'), '{"type":"commonjs"}')
  const reasonOf = async (name: string, text: string): Promise<string> => {
    writeFileSync(join(folder, name), text)
    return import(pathToFileURL(join(folder, name)).href).then(
      () => 'loaded',
      (error: Error) => error.message,
    )
  }
  assert.match(moduleHint(await reasonOf('f.ts', 'export const f = (n: number) => n')) ?? '', /"type": "module"/)
  assert.match(moduleHint(await reasonOf('config.ts', "import 'node:fs'\nexport default {}")) ?? '', /"type": "module"/)
  assert.equal(moduleHint(await reasonOf('g.ts', 'const = 1')), undefined)
})
