// For tests: the log's writer with the Kafka port, in which something fails when a topic of a certain name is made.
import { HostedLog, logErrors } from '../log/index.ts'
import { FrameInput } from './frameInput.ts'

const { createTopic } = HostedLog.prototype
const { received } = FrameInput.prototype
const fail = () => {
  throw new Error('planted')
}
/** A client that sends 13 bytes in one go meets it. */
function receivedOrFailed(this: FrameInput, sizeBytes: number): void {
  if (sizeBytes === 13) fail()
  received.call(this, sizeBytes)
}

HostedLog.prototype.createTopic = async function (name, config) {
  const { store } = (this as unknown as { writer: { store: { sync(): void } } }).writer
  if (name === 'in-a-timer') setTimeout(fail, 1)
  if (name === 'in-a-promise') void Promise.reject(new Error('planted'))
  if (name === 'in-a-promise-with-a-code') void Promise.reject(logErrors('LOG_TOPIC_NOT_FOUND', { topic: name }))
  if (name === 'in-a-read') FrameInput.prototype.received = receivedOrFailed
  if (name === 'in-the-writer') store.sync = fail
  if (name === 'in-the-writer-for-a-client') {
    store.sync = fail
    this.appendRecords('t', 0, [{ key: null, value: null, timestampMs: 0 }]).catch(() => {})
    // Commits what was appended before, and the client's request catches what it throws.
    await this.alterTopic('t', {})
  }
  return createTopic.call(this, name, config)
}
await import('./writerThread.ts')
