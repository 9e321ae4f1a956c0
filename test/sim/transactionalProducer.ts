// A Kafka producer with transactions: asks for its id, adds partitions, writes, commits or aborts; after an error it asks again. One that was
// paused while another took its transactional id over is fenced: what it sends from then on must be refused, and its open transaction aborted.
import { type ClientDeps, ERROR_FENCED, KafkaClient } from './kafkaClient.ts'
import type { SentBatch, SentTransaction } from './model.ts'
import { API, type In, Out, readProduced, recordBatch, type Sent } from './wire.ts'
import { Violation } from './world.ts'

export interface TransactionPlan {
  isCommit: boolean
  batches: { topic: string; partition: number; records: Sent[] }[]
  /** Stops before its end for so long. */
  pauseMs: number
}
export interface TransactionalOptions {
  transactionalId: string
  transactions: TransactionPlan[]
}

/** Its transaction timed out, or its id was forgotten because the clock was set forward by a week. */
const BEGINS_ANEW = new Set([48, 49])
const TIMEOUT_MS = 60_000

export class TransactionalProducer extends KafkaClient {
  isDone = false
  /** Who holds the same id. */
  rival: TransactionalProducer | undefined
  private readonly options: TransactionalOptions
  private producerId = -1
  private epoch = -1
  private sequences = new Map<string, number>()
  private next = 0
  private transaction: SentTransaction | undefined

  constructor(name: string, options: TransactionalOptions, deps: ClientDeps) {
    super(name, deps)
    this.options = options
  }

  /** Another was told that it has the id now. */
  private get isReplaced(): boolean {
    const { rival, producerId, epoch } = this
    return rival !== undefined && rival.producerId === producerId && rival.epoch > epoch
  }

  start(delayMs: number): void {
    this.deps.world.after(delayMs, () => this.init())
  }

  private later(act: () => void): void {
    const { world } = this.deps
    world.after(world.random.int(5, 60), act)
  }

  /** One request, again until it is answered with something else than "later". */
  private ask(api: number, what: string, body: () => Out, codeOf: (answer: In) => number, done: (errorCode: number) => void): void {
    const { world } = this.deps
    const wasReplaced = this.isReplaced
    this.call(api, body(), (answer) => {
      const errorCode = answer && codeOf(answer)
      world.trace(`${this.name} ${what}: ${errorCode === undefined ? 'no answer' : `code ${errorCode}`}`)
      if (errorCode === undefined || [7, 14, 15, 16, 19, 20, 51, 56].includes(errorCode))
        this.later(() => this.ask(api, what, body, codeOf, done))
      else {
        if (errorCode === 0 && wasReplaced && api !== API.INIT_PRODUCER_ID)
          throw new Violation(`${this.name} was replaced, and could still do this: ${what}`)
        done(errorCode)
      }
    })
  }

  private init(): void {
    const { transactionalId } = this.options
    const codeOf = (answer: In) => {
      answer.int32()
      const errorCode = answer.int16()
      if (errorCode === 0) {
        this.producerId = answer.int64()
        this.epoch = answer.int16()
      }
      return errorCode
    }
    // Asking for the id is how one that was replaced would fence its successor, so it must not come to that.
    if (this.isReplaced) {
      this.leave()
      return
    }
    this.ask(
      API.INIT_PRODUCER_ID,
      'id',
      () => new Out().string(transactionalId).int32(TIMEOUT_MS),
      codeOf,
      (errorCode) => {
        if (errorCode !== 0) throw new Violation(`${this.name} got error ${errorCode} instead of an id`)
        this.sequences = new Map()
        // What the other had not asked to commit before now is aborted by this.
        const { rival } = this
        if (rival?.isReplaced && rival.transaction?.outcome === 'open') rival.transaction.outcome = 'aborted'
        this.begin()
      },
    )
  }

  private leave(): void {
    this.isDone = true
    this.drop()
  }

  private begin(): void {
    const plan = this.options.transactions[this.next]
    if (!plan) {
      this.leave()
      return
    }
    this.next++
    const transaction: SentTransaction = { id: `${this.name}/${this.next}`, outcome: 'open' }
    this.transaction = transaction
    const topics = Map.groupBy(plan.batches, ({ topic }) => topic)
    const body = () => {
      const out = this.head().int32(topics.size)
      for (const [topic, batches] of topics) {
        const partitions = [...new Set(batches.map(({ partition }) => partition))]
        out.string(topic).int32(partitions.length)
        for (const partition of partitions) out.int32(partition)
      }
      return out
    }
    const codeOf = (answer: In) => {
      answer.int32()
      const codes = answer.array(() => {
        answer.string()
        return answer.array(() => [answer.int32(), answer.int16()][1])
      })
      return codes.flat().find((code) => code !== 0) ?? 0
    }
    this.ask(API.ADD_PARTITIONS_TO_TXN, 'begins', body, codeOf, (errorCode) => {
      if (this.gaveUp(errorCode)) return
      this.write(plan, transaction, 0)
    })
  }

  private head = (): Out => new Out().string(this.options.transactionalId).int64(this.producerId).int16(this.epoch)

  private write(plan: TransactionPlan, transaction: SentTransaction, index: number): void {
    const { model, world, clock } = this.deps
    if (index === plan.batches.length) {
      if (plan.pauseMs > 0) world.hit('producer paused in its transaction')
      world.after(plan.pauseMs, () => this.end(plan, transaction))
      return
    }
    const { topic, partition, records } = plan.batches[index]
    const values = records.map(({ value }) => value)
    const place = `${topic} ${partition}`
    const sequence = this.sequences.get(place) ?? 0
    this.sequences.set(place, sequence + records.length)
    const batch: SentBatch = {
      writer: this.name,
      topic,
      partition,
      values,
      once: true,
      state: 'open',
      firstOffset: -1,
      sends: 0,
      transaction,
    }
    model.add(batch)
    const state = { producerId: this.producerId, epoch: this.epoch, sequence, isTransactional: true }
    const bytes = recordBatch(records, Math.floor(clock()), state)
    const body = () => {
      batch.sends++
      return new Out()
        .string(this.options.transactionalId)
        .int16(-1)
        .int32(30_000)
        .int32(1)
        .string(topic)
        .int32(1)
        .int32(partition)
        .bytes(bytes)
    }
    let baseOffset = -1
    const codeOf = (answer: In) => {
      const said = readProduced(answer)
      baseOffset = said.baseOffset
      return said.errorCode
    }
    this.ask(API.PRODUCE, `writes ${place}`, body, codeOf, (errorCode) => {
      if (errorCode !== 0) batch.state = 'unknown'
      if (this.gaveUp(errorCode)) return
      model.acknowledge(batch, baseOffset)
      this.write(plan, transaction, index + 1)
    })
  }

  private end(plan: TransactionPlan, transaction: SentTransaction): void {
    const { world } = this.deps
    const { isCommit } = plan
    // From the first time that it asks, nobody knows until it is told.
    if (isCommit && !this.isReplaced && transaction.outcome === 'open') transaction.outcome = 'unknown'
    const codeOf = (answer: In) => {
      answer.int32()
      return answer.int16()
    }
    this.ask(
      API.END_TXN,
      isCommit ? 'commits' : 'aborts',
      () => this.head().int8(isCommit ? 1 : 0),
      codeOf,
      (errorCode) => {
        if (this.gaveUp(errorCode)) return
        transaction.outcome = isCommit ? 'committed' : 'aborted'
        world.hit(isCommit ? 'transaction committed' : 'transaction aborted')
        this.transaction = undefined
        this.later(() => this.begin())
      },
    )
  }

  /** It lost its epoch, or its transaction timed out: it begins anew, unless another is in its place. */
  private gaveUp(errorCode: number): boolean {
    const { world } = this.deps
    if (errorCode === 0) return false
    if (!ERROR_FENCED.has(errorCode) && !BEGINS_ANEW.has(errorCode)) throw new Violation(`${this.name} got error ${errorCode}`)
    if (this.transaction?.outcome === 'open') this.transaction.outcome = 'aborted'
    this.transaction = undefined
    world.hit(this.isReplaced ? 'replaced transactional producer fenced' : 'transactional producer began anew')
    this.later(() => this.init())
    return true
  }
}
