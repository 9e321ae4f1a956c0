// A Java client of Kafka 3 against the real process: most applications have one that is older than the tools that the other tests run.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { countsSql, makeProject, startServer } from '../harness.ts'

const script = resolve(import.meta.dirname, 'servers/kafka.sh')
const missing = spawnSync(script, ['lib-older']).status === 0 ? undefined : 'no older Java client: run test/compat/servers/kafka.sh setup'

test('a Java client of Kafka 3: topics, every codec and acks, a group, transactions', { skip: missing }, async (t) => {
  const server = await startServer(t, makeProject(t, { 'pipelines/counts.sql': countsSql }), ['--kafka-port', '0'])
  const { kafkaPort } = server.ready as unknown as { kafkaPort: number }
  const program = resolve(import.meta.dirname, 'servers/kafka/OlderClient.java')
  const child = spawn(script, ['older', program, `127.0.0.1:${kafkaPort}`], { timeout: 120_000 })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data))
  const [status] = await once(child, 'close')
  assert.equal(status, 0, output)
  assert.match(output, /^client 3\.\d+\.\d+\nsent 1500\nread 1500\ntransactions\n$/)
  t.diagnostic(output.trim().replaceAll('\n', '; '))
})
