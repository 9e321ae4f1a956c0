import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { test } from 'node:test'
import { layers } from '../src/layers.ts'

const source = resolve(import.meta.dirname, '../src')
const importText = /(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/g

/** Imports of one file that its layer's row does not allow. */
function violations(file: string, text: string): string[] {
  const [layer] = relative(source, file).split('/')
  const allowed: readonly string[] = layers[layer as keyof typeof layers] ?? []
  const found: string[] = []
  for (const [, target] of text.matchAll(importText)) {
    const path = relative(source, resolve(dirname(file), target))
    const [targetLayer, ...rest] = path.split('/')
    if (targetLayer === layer || path.startsWith('..')) continue
    if (!allowed.includes(targetLayer))
      found.push(`${relative(source, file)} imports ${path}: row "${layer}" of src/layers.ts does not list "${targetLayer}"`)
    // base/http is an entry of its own, so that worker threads do not load a web server.
    else if (rest.at(-1) !== 'index.ts' && path !== 'base/http/index.ts' && path !== 'serve/contract.ts' && !file.endsWith('.test.ts'))
      found.push(`${relative(source, file)} imports ${path}: from another folder import its index.ts`)
  }
  return found
}

test('each folder imports only what its row lists', () => {
  const files = globSync('**/*.ts', { cwd: source }).filter((file) => file.includes('/'))
  assert.ok(files.length > 5)
  assert.deepEqual(
    files.flatMap((file) => violations(resolve(source, file), readFileSync(resolve(source, file), 'utf8'))),
    [],
  )
})

test('the check can fail', () => {
  assert.equal(violations(resolve(source, 'data/x.ts'), "import { a } from '../engine/index.ts'").length, 1)
  assert.equal(violations(resolve(source, 'engine/x.ts'), "import { a } from '../sql/plan.ts'").length, 1)
  assert.equal(violations(resolve(source, 'engine/x.ts'), "import { a } from '../sql/index.ts'").length, 0)
})

test('a row lists only rows above it', () => {
  const names = Object.keys(layers)
  for (const [name, allowed] of Object.entries(layers))
    for (const target of allowed) assert.ok(names.indexOf(target) < names.indexOf(name), `${name} lists ${target}`)
})
