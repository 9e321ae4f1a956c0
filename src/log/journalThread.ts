// The journal's thread: makes its file and syncs segment files, beside the writer.
import { parentPort } from 'node:worker_threads'
import { realDisk } from './disk.ts'
import { doTask, type JournalTask } from './journalTask.ts'

const REST_MS = 5
const nobody = new Int32Array(new SharedArrayBuffer(4))
const rest = () => void Atomics.wait(nobody, 0, 0, REST_MS)

parentPort!.once('message', ({ port }) => {
  port.on('message', (task: JournalTask) => doTask(realDisk, task, (done) => port.postMessage(done), rest))
})
