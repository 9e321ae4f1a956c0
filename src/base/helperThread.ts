// A thread that does one kind of work for another one: started when it is first needed, and again after it ended.
//
// Invariants
//   1. Every question is answered, also if the thread ends: then with an error that `failed` makes.
//   2. It does not keep the process alive by itself.
import { Worker } from 'node:worker_threads'

/** What the thread posts for each question, as it is done. */
export interface HelperAnswer<A> {
  id: number
  answer: A
}
/** What the thread receives; without an id no answer is awaited. */
export interface HelperQuestion<Q> {
  id: number | undefined
  question: Q
}

export class HelperThread<Q, A> {
  private readonly url: URL
  private readonly name: string
  private readonly failed: (reason: string) => Error
  private readonly waiting = new Map<number, { resolve: (answer: A) => void; reject: (error: Error) => void }>()
  private worker: Worker | undefined
  private lastId = 0

  constructor(url: URL, name: string, failed: (reason: string) => Error) {
    this.url = url
    this.name = name
    this.failed = failed
  }

  ask(question: Q, transfer: readonly ArrayBuffer[] = []): Promise<A> {
    const id = ++this.lastId
    return new Promise((resolve, reject) => {
      this.start().postMessage({ id, question } satisfies HelperQuestion<Q>, transfer)
      this.waiting.set(id, { resolve, reject })
    })
  }

  /** What nobody waits for; nothing if there is no thread. */
  tell(question: Q, transfer: readonly ArrayBuffer[] = []): void {
    this.worker?.postMessage({ id: undefined, question } satisfies HelperQuestion<Q>, transfer)
  }

  async close(): Promise<void> {
    await this.worker?.terminate()
  }

  private start(): Worker {
    if (this.worker) return this.worker
    const worker = new Worker(this.url, { name: this.name })
    worker.unref()
    let reason = 'its thread ended'
    worker.on('message', ({ id, answer }: HelperAnswer<A>) => {
      this.waiting.get(id)?.resolve(answer)
      this.waiting.delete(id)
    })
    worker.on('error', ({ message }) => {
      reason = message
    })
    worker.on('exit', () => {
      this.worker = undefined
      for (const { reject } of this.waiting.values()) reject(this.failed(reason))
      this.waiting.clear()
    })
    this.worker = worker
    return worker
  }
}
