// What is ours to mend leaves a line in the log of a real process, also with --json.
import assert from 'node:assert/strict'
import { rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ApiError } from '../src/serve/contract.ts'
import { countsSql, makeProject, startServer, until } from './harness.ts'

test('a request that fails by our fault is a JSON line with its code, id and stack; one that is wrong is none', async (t) => {
  const folder = makeProject(t, { 'pipelines/counts.sql': countsSql })
  const server = await startServer(t, folder)
  assert.equal((await server.call('/v1/nowhere')).status, 404)
  // No error of ours says what a file is that leads to itself.
  const loop = join(folder, 'pipelines/loop.sql')
  symlinkSync(loop, loop)
  const { status, body } = await server.call<ApiError>('/v1/project/files')
  rmSync(loop)
  assert.deepEqual([status, body.error.code], [500, 'HTTP_INTERNAL'])
  await until(() => server.running.stderr.endsWith('\n'), 'nothing is in the log')
  const lines = server.running.stderr.trim().split('\n')
  assert.equal(lines.length, 1, server.running.stderr)
  const { code, requestId, path, err } = JSON.parse(lines[0])
  assert.deepEqual([code, requestId, path], ['HTTP_INTERNAL', body.error.params?.requestId, '/v1/project/files'])
  assert.match(err.stack, /ELOOP[\s\S]*\n\s+at /)
})
