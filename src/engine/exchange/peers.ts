// What a subtask's graph knows of the others: how many there are, and how to send them rows and watermarks.
import type { Batch, BatchMemory, Field } from '../../data/index.ts'
import { decodeMessage, MessageEncoder } from './codec.ts'
import type { ExchangeOperator } from './exchange.ts'
import type { Links } from './links.ts'

export class Peers {
  readonly subtask: number
  readonly parallelism: number
  /** Tables of which every subtask reads all rows: they need no exchange where they are joined. */
  readonly isReplicated: (table: string) => boolean
  private readonly links: Links
  private readonly encoder = new MessageEncoder()

  constructor(links: Links, isReplicated: (table: string) => boolean = () => false) {
    this.links = links
    this.subtask = links.subtask
    this.parallelism = links.parallelism
    this.isReplicated = isReplicated
  }

  /** Waits while the other side is behind. */
  sendBatch(to: number, edge: number, batch: Batch, fields: readonly Field[], rows: Int32Array, count: number): void {
    const length = this.encoder.batch(edge, batch, fields, rows, count)
    this.links.write(to, this.encoder.bytes, length)
  }

  sendWatermark(to: number, edge: number, watermarkMs: number): void {
    const length = this.encoder.watermark(edge, watermarkMs)
    this.links.write(to, this.encoder.bytes, length)
  }

  /** Hands the next message that has come to its exchange; false if there is none. */
  receive(exchanges: readonly ExchangeOperator[], memory: BatchMemory): boolean {
    const message = this.links.take()
    if (message === undefined) return false
    const mark = memory.mark()
    const decoded = decodeMessage(message.buffer, (edge) => exchanges[edge].fields, memory)
    const exchange = exchanges[decoded.edge]
    if (decoded.kind === 'batch') exchange.receive(message.from, decoded.batch)
    else exchange.receiveWatermark(message.from, decoded.watermarkMs)
    memory.release(mark)
    this.links.giveBack(message)
    return true
  }
}
