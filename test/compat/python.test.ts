// kafka-python, confluent-kafka-python and aiokafka against the real process, and against a real Kafka, which shows that the scripts ask for nothing of ours.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { countsSql, makeProject, startServer } from '../harness.ts'
import { kafkaMissing, startRealKafka } from './servers/kafka.ts'

const script = resolve(import.meta.dirname, 'servers/python.sh')
const pythonMissing = spawnSync(script, ['has']).status === 0 ? undefined : 'no Python clients: run test/compat/servers/python.sh setup'
const RUN_MS_MAX = 120_000

async function play(t: TestContext, bootstrap: string): Promise<void> {
  for (const name of ['kafka_python', 'confluent', 'aiokafka']) {
    const file = resolve(import.meta.dirname, `servers/python/${name}_test.py`)
    const child = spawn(script, ['run', file, bootstrap], { timeout: RUN_MS_MAX })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data))
    const [status] = await once(child, 'close')
    assert.equal(status, 0, `${name}\n${output}`)
    t.diagnostic(`${name}: ${output.trim().replaceAll('\n', '; ')}`)
  }
}

test('Python clients against Millrace', { skip: pythonMissing }, async (t) => {
  const server = await startServer(t, makeProject(t, { 'pipelines/counts.sql': countsSql }), ['--kafka-port', '0'])
  await play(t, `127.0.0.1:${(server.ready as unknown as { kafkaPort: number }).kafkaPort}`)
})

test('Python clients against a real Kafka', { skip: pythonMissing ?? kafkaMissing }, async (t) => {
  const kafka = await startRealKafka()
  t.after(() => kafka.stop())
  await play(t, kafka.bootstrap)
})
