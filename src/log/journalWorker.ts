// The writer's hold of the journal's thread, which begins with its first task. The writer thread has no event loop that turns: it looks for
// messages itself.
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { JournalOptions } from './journal.ts'
import type { JournalBackground, JournalDone, JournalTask } from './journalTask.ts'

const MIB = 1024 * 1024

class JournalWorker implements JournalBackground {
  private port: MessagePort | undefined
  private worker: Worker | undefined

  start(task: JournalTask): void {
    this.port ??= this.begin()
    this.port.postMessage(task)
  }

  done(): JournalDone[] {
    const all: JournalDone[] = []
    if (this.port) for (let one: { message: JournalDone } | undefined; (one = receiveMessageOnPort(this.port)); ) all.push(one.message)
    return all
  }

  close(): void {
    this.port?.close()
    void this.worker?.terminate()
  }

  private begin(): MessagePort {
    const { port1, port2 } = new MessageChannel()
    this.worker = new Worker(new URL('./journalThread.ts', import.meta.url), { name: 'log-journal' })
    this.worker.unref()
    this.worker.postMessage({ port: port2 }, [port2])
    port1.unref()
    return port1
  }
}

/** As measured: docs/benchmarks.md. */
export const journalOptions = (): JournalOptions => ({
  sizeBytes: 16 * MIB,
  groupBytesMax: 96 * 1024,
  groupsBefore: 256,
  syncBytes: 4 * MIB,
  background: new JournalWorker(),
  newId: () => Math.floor(Math.random() * 2 ** 48),
})
