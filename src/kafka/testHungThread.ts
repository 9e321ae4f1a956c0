// For tests: a log's writer that says it has opened the port, and stops in the middle of what it is asked then.
import { openWriter } from '../log/index.ts'
import type { FromHost, ToHost } from './hostMessages.ts'

const writer = openWriter()!
const port = writer.host!
port.on('message', ({ id, name }: ToHost) => {
  if (name !== 'open') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  port.postMessage({ kind: 'reply', id, result: { host: '127.0.0.1', port: 0 } } satisfies FromHost)
})
void writer.runInTurns()
