// Builds the published package: dist/ is the checkout in small, so that paths from one file to another stay as they are.
//
//   dist/src, dist/demo   what the sources reach from their entries, as JavaScript with declarations
//   dist/console/dist     the console
//   dist/package.json     name and version
//
// Node strips types from sources, but not below node_modules: hence this step, which nothing in a checkout needs.
import { spawnSync } from 'node:child_process'
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parsedArgs } from './options.ts'
import { buildConsole } from './prepare.mjs'

parsedArgs(
  'Usage: npm run build\n\nBuilds the published package into dist/, the console with it: about half a minute. There are no options.',
  {},
)
const root = resolve(import.meta.dirname, '..')
const dist = join(root, 'dist')
const startedMs = performance.now()

buildConsole()
rmSync(dist, { recursive: true, force: true })

console.log('Compiling …')
const { status } = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
})
if (status !== 0) {
  console.error('\nThe sources do not compile: see the lines above. Nothing was built.')
  rmSync(dist, { recursive: true, force: true })
  process.exit(1)
}

// TypeScript rewrites the names in imports; those of worker threads and in declarations are left to us.
const workerUrl = /new URL\('(\.{1,2}\/[^']+)\.ts', import\.meta\.url\)/g
const declared = /((?:from|import)\s*\(?\s*['"]\.{1,2}\/[^'"]+)\.ts(['"])/g
const files = globSync('**/*.{js,d.ts}', { cwd: dist })
for (const file of files) {
  const path = join(dist, file)
  const text = readFileSync(path, 'utf8')
  const rewritten = file.endsWith('.d.ts')
    ? text.replace(declared, '$1.js$2')
    : text.replace(workerUrl, "new URL('$1.js', import.meta.url)")
  if (rewritten !== text) writeFileSync(path, rewritten)
}

const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { name: string; version: string }
writeFileSync(join(dist, 'package.json'), `${JSON.stringify({ name, version, type: 'module', private: true })}\n`)
for (const folder of ['console/dist', 'demo/pipelines', 'demo/data']) {
  mkdirSync(join(dist, folder), { recursive: true })
  cpSync(join(root, folder), join(dist, folder), { recursive: true, filter: (path) => !path.endsWith('.millrace-built') })
}
console.log(`dist: ${files.length} files compiled, version ${version}, ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`)
