import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HelperThread } from './index.ts'

const thread = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort } from 'node:worker_threads'
    parentPort.on('message', ({ id, question }) => {
      if (question === 'exit') process.exit(1)
      if (question === 'throw') throw new Error('thrown inside')
      if (id !== undefined) parentPort.postMessage({ id, answer: question + ' answered' })
    })`)}`,
)

test('a helper that ended fails what waits for it, and is started again', async () => {
  const helper = new HelperThread<string, string>(thread, 'test', (reason) => new Error(`failed: ${reason}`))
  assert.equal(await helper.ask('one'), 'one answered')
  const lost = [helper.ask('exit'), helper.ask('two')].map((one) => assert.rejects(one, /failed: its thread ended/))
  await Promise.all(lost)
  assert.equal(await helper.ask('three'), 'three answered')
  await assert.rejects(helper.ask('throw'), /failed: thrown inside/)
  helper.tell('nobody is there')
  assert.equal(await helper.ask('four'), 'four answered')
  await helper.close()
})
