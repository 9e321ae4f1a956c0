import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, win32 } from 'node:path'
import { test } from 'node:test'
import { makeFolders, missingFolders } from './folders.ts'

test('a drive that does not exist ends the search at its root', () => {
  assert.deepEqual(
    missingFolders('Q:\\shop\\data', () => false, win32.dirname),
    ['Q:\\', 'Q:\\shop', 'Q:\\shop\\data'],
  )
})

test('folders are made from the uppermost missing one on; a file on the way is an error', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-folders-'))
  try {
    const deep = join(folder, 'a/b/c')
    assert.deepEqual(missingFolders(deep), [join(folder, 'a'), join(folder, 'a/b'), deep])
    makeFolders(deep)
    makeFolders(deep)
    assert.ok(statSync(deep).isDirectory())
    assert.deepEqual(missingFolders(deep), [])
    writeFileSync(join(folder, 'file'), '')
    for (const path of ['file', 'file/below']) assert.throws(() => makeFolders(join(folder, path)), { code: /EEXIST|ENOTDIR/ })
    mkdirSync(join(folder, 'x'))
    makeFolders(join(folder, 'x'))
  } finally {
    rmSync(folder, { recursive: true })
  }
})
