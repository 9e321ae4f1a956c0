// For tests: a log's writer that stops in the middle of what it is asked beside it.
import { openWriter } from '../log/index.ts'

const writer = openWriter()!
writer.host!.on('message', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
void writer.runInTurns()
