import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HotCounter, metrics } from './metrics.ts'

test('a hot counter tells each sum once, and the whole of it each time', async () => {
  const counter = new HotCounter({ name: 'test_hot_total', help: 'Of this test.', label: 'topic' })
  const told = async () => (await metrics.getSingleMetricAsString('test_hot_total')).split('\n').slice(2)
  assert.deepEqual(await told(), [])
  counter.inc('a')
  counter.inc('b', 5)
  counter.inc('a', 2)
  assert.deepEqual(await told(), ['test_hot_total{topic="a"} 3', 'test_hot_total{topic="b"} 5'])
  assert.deepEqual(await told(), ['test_hot_total{topic="a"} 3', 'test_hot_total{topic="b"} 5'])
  counter.inc('a')
  assert.deepEqual((await told())[0], 'test_hot_total{topic="a"} 4')
})
