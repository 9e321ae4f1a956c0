// The published package: packed, installed into an empty folder with npm, and run there, below node_modules, where Node strips no types.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { countsSql, type Ready, Running, Server, untilRows } from '../harness.ts'

const root = resolve(import.meta.dirname, '../..')
// The package takes the Node that it finds: this one.
const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}`, npm_config_update_notifier: 'false' }

function npm(args: string[], cwd: string): string {
  const result = spawnSync('npm', args, { cwd, env, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
  assert.equal(result.status, 0, `npm ${args.join(' ')}: ${result.error ?? ''}${result.stderr}`)
  return result.stdout
}

describe('the published package', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-package-'))
  const installed = join(folder, 'node_modules/millrace')
  let running: Running | undefined
  let packed: { filename: string; files: { path: string }[] }

  before(() => {
    // prepack builds it.
    const [first] = Object.values(JSON.parse(npm(['pack', '--json', '--pack-destination', folder], root).replace(/^[^[{]*/, '')))
    packed = first as typeof packed
    writeFileSync(join(folder, 'package.json'), '{"name":"shop","private":true,"type":"module"}')
    npm(['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', join(folder, packed.filename)], folder)
    mkdirSync(join(folder, 'shop/pipelines'), { recursive: true })
    writeFileSync(join(folder, 'shop/pipelines/counts.sql'), countsSql)
  })
  after(async () => {
    await running?.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })

  test('holds what was built and its docs, and neither sources nor tests', () => {
    const paths = packed.files.map(({ path }) => path)
    const strange = paths.filter(
      (path) =>
        !/^(dist\/|docs\/.+\.md$|scripts\/(millrace|node24)\.mjs$|package\.json$|LICENSE$|README\.md$)/.test(path) ||
        /\.test\.|[^d]\.ts$/.test(path),
    )
    assert.deepEqual(strange, [])
    for (const path of [
      'dist/src/index.d.ts',
      'dist/src/engine/worker.js',
      'dist/src/log/writerThread.js',
      'dist/src/log/journalThread.js',
      'dist/src/engine/parquetChild.js',
      'dist/console/dist/index.html',
      'docs/sql/errors.md',
    ])
      assert.ok(paths.includes(path), path)
    for (const path of paths.filter((path) => path.endsWith('.js') && path.startsWith('dist/src'))) {
      const text = readFileSync(join(installed, path), 'utf8')
      assert.doesNotMatch(text, /(from|import|URL)\s*\(?\s*['"]\.[^'"]*\.ts['"]/, path)
      // What threads and child processes start with: nothing imports it.
      for (const [, url] of text.matchAll(/new URL\('([^']+\.js)', import\.meta\.url\)/g))
        assert.ok(paths.includes(join(dirname(path), url)), `${url} of ${path}`)
    }
  })

  test('the command answers --help and --version', () => {
    const help = npm(['exec', '--offline', '--', 'millrace', '--help'], folder)
    assert.match(help, /Usage: millrace/)
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    assert.equal(npm(['exec', '--offline', '--', 'millrace', '--version'], folder).trim(), version)
  })

  test('a Node that is too old is told so', { skip: !existsSync('/usr/bin/node') }, (t) => {
    const [major, minor] = spawnSync('/usr/bin/node', ['--version'], { encoding: 'utf8' }).stdout.slice(1).split('.').map(Number)
    if (major > 24 || (major === 24 && minor >= 6)) return t.skip('the system has a new Node')
    const { status, stderr } = spawnSync('/usr/bin/node', [join(installed, 'scripts/millrace.mjs'), '--help'], { encoding: 'utf8' })
    assert.equal(status, 1)
    assert.match(stderr, /needs Node 24\.6 or newer; this one is/)
  })

  test('tests of a project: the command, and millrace/testing with types', () => {
    mkdirSync(join(folder, 'shop/tests'), { recursive: true })
    const events = '{"id":"a","page":"/","n":2,"ts":"2026-03-01 00:00:00.000"}'
    const golden = `-- One event.\n--- input events\n${events}\n--- use pipelines\n--- expect counts\n["/", 1, 2]\n`
    writeFileSync(join(folder, 'shop/tests/counts.test'), golden)
    assert.match(npm(['exec', '--offline', '--', 'millrace', 'test', 'shop'], folder), /1 passed, 0 failed/)
    writeFileSync(
      join(folder, 'shop/counts.spec.mts'),
      `import { testPipeline } from 'millrace/testing'
const { rows } = await testPipeline<{ page: string; total: number }>({ use: 'shop/pipelines', table: 'counts', inputs: { events: [${events}, '@crash'] } })
const total: number = rows[0].total
await testPipeline('shop/tests/counts.test')
console.log('total', total)
`,
    )
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const args = [
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2022',
      '--skipLibCheck',
      'false',
      '--types',
      '',
      'shop/counts.spec.mts',
    ]
    const types = spawnSync(process.execPath, [tsc, ...args], { cwd: folder, encoding: 'utf8' })
    assert.equal(types.status, 0, types.stdout)
    const spec = spawnSync(process.execPath, ['shop/counts.spec.mjs'], { cwd: folder, encoding: 'utf8' })
    assert.equal(spec.stdout, 'total 2\n', spec.stderr)
  })

  test('config imports defineConfig, with types; a project runs and stops', async () => {
    writeFileSync(
      join(folder, 'shop/millrace.config.ts'),
      "import { defineConfig, type MillraceConfig } from 'millrace'\nconst config: MillraceConfig = { workerCount: 1, dataFolder: 'kept' }\nexport default defineConfig(config)\n",
    )
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const args = ['--noEmit', '--strict', '--module', 'nodenext', '--skipLibCheck', 'false', '--types', '', 'shop/millrace.config.ts']
    const types = spawnSync(process.execPath, [tsc, ...args], { cwd: folder, encoding: 'utf8' })
    assert.equal(types.status, 0, types.stdout)

    running = new Running(join(folder, 'node_modules/.bin/millrace'), ['start', 'shop', '--port', '0', '--json'], { cwd: folder, env })
    const server = new Server(running, await running.firstLine<Ready>())
    assert.equal(server.ready.data, join(folder, 'shop/kept'))
    assert.deepEqual(server.ready.errors, [])
    const { status, body } = await server.post('events', [
      { id: 'a', page: '/', n: 2, ts: '2026-03-01 00:00:00.000' },
      { id: 'b', page: '/', n: 3, ts: '2026-03-01 00:00:01.000' },
    ])
    assert.equal(status, 202, JSON.stringify(body))
    await untilRows(server, 'counts', [['/', 2, 5]])
    const page = await fetch(server.ready.url)
    assert.equal(page.status, 200)
    assert.match(await page.text(), /<title>/i)
    const { code, afterMs } = await running.kill('SIGTERM')
    assert.equal(code, 0, running.output)
    assert.ok(afterMs < 5_000, `stopped after ${Math.round(afterMs)} ms`)
  })
})
