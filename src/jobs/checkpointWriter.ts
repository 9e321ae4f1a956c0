// The thread that writes checkpoints, seen from the main thread: started with the first one.
import { Worker } from 'node:worker_threads'
import type { CheckpointWriterData, FromCheckpointWriter, Manifest, ToCheckpointWriter } from '../engine/index.ts'
import { checkpointErrors, reviveCheckpointError } from '../engine/index.ts'

type Request = ToCheckpointWriter extends infer T ? (T extends { requestId: number } ? Omit<T, 'requestId'> : never) : never

export class CheckpointWriter {
  private readonly data: CheckpointWriterData
  private worker: Worker | undefined
  private readonly waiting = new Map<
    number,
    { resolve: (manifest: Omit<Manifest, 'parts'> | undefined) => void; reject: (error: Error) => void }
  >()
  private lastId = 0

  constructor(data: CheckpointWriterData) {
    this.data = data
  }

  /** @throws StreamError CHECKPOINT_FAILED, CHECKPOINT_UNCERTAIN and those of savepoints */
  run(request: Request): Promise<Omit<Manifest, 'parts'> | undefined> {
    this.worker ??= this.start()
    // It keeps the process alive while somebody waits for it.
    this.worker.ref()
    const requestId = ++this.lastId
    // Shared memory stays where it is.
    const buffers = request.type === 'write' ? request.request.updates.map(({ bytes }) => bytes.buffer) : []
    return new Promise((resolve, reject) => {
      this.waiting.set(requestId, { resolve, reject })
      const transfer = [...new Set(buffers)].filter((buffer) => buffer instanceof ArrayBuffer && buffer.byteLength > 0) as ArrayBuffer[]
      this.worker?.postMessage({ ...request, requestId } as ToCheckpointWriter, transfer)
    })
  }

  private start(): Worker {
    const worker = new Worker(new URL('../engine/checkpoints/writer.ts', import.meta.url), {
      workerData: this.data,
      name: 'checkpoint-writer',
    })
    worker.on('message', (message: FromCheckpointWriter) => {
      const waiting = this.waiting.get(message.requestId)
      this.waiting.delete(message.requestId)
      if (this.waiting.size === 0) worker.unref()
      if ('error' in message) waiting?.reject(reviveCheckpointError(message.error))
      else waiting?.resolve(message.manifest)
    })
    let reason = 'it ended'
    worker.on('error', (error) => {
      reason = error.message
    })
    // What was on its way may be on the disk or not.
    worker.on('exit', () => {
      this.worker = undefined
      for (const { reject } of this.waiting.values())
        reject(checkpointErrors('CHECKPOINT_UNCERTAIN', { path: this.data.dataFolder, reason }))
      this.waiting.clear()
    })
    worker.unref()
    return worker
  }

  async close(): Promise<void> {
    await this.worker?.terminate()
  }
}
