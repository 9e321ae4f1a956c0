// Who writes: Kafka producers (idempotent, plain, paused and replaced) and HTTP producers (with and without Idempotency-Key). They live outside
// of the process, survive its crashes, and tell the model what they were told. Those with transactions: transactionalProducer.ts.
import type { EventsAnswer } from '../../src/ingest/door.ts'
import { type ClientDeps, ERROR_FENCED, ERROR_RETRIABLE, KafkaClient, TIMEOUT_MS } from './kafkaClient.ts'
import type { SentBatch } from './model.ts'
import { API, type In, Out, readProduced, recordBatch, type Sent } from './wire.ts'
import { Violation } from './world.ts'

export interface ProducerOptions {
  topic: string
  idempotent: boolean
  /** Sends again until it is told something; else once. */
  retries: boolean
  batches: { partition: number; records: Sent[] }[]
  /** Pauses after so many batches, while another takes its place. */
  pauseAfter?: number
  takesOver?: KafkaProducer
}

export class KafkaProducer extends KafkaClient {
  isDone = false
  producerId = -1
  epoch = 0
  readonly options: ProducerOptions
  /** Not settled yet, in order; the first `inFlight` of them are on their way. */
  private queue: { batch: SentBatch; records: Sent[]; sequence: number }[] = []
  private inFlight = 0
  /** Something went wrong: what is on its way is waited for, then all is sent again from the first that is not settled. */
  private isRecovering = false
  private isBusy = false
  private nextBatch = 0
  private readonly sequences = new Map<number, number>()
  private isPaused = false

  constructor(name: string, options: ProducerOptions, deps: ClientDeps) {
    super(name, deps)
    this.options = options
  }

  start(delayMs: number): void {
    this.deps.world.after(delayMs, () => this.pump())
  }

  private pump(): void {
    const { idempotent, batches, takesOver } = this.options
    if (this.isDone || this.isBusy || this.isPaused) return
    if (idempotent && this.producerId < 0) {
      if (takesOver) {
        if (takesOver.producerId < 0) {
          this.later()
          return
        }
        this.producerId = takesOver.producerId
        this.epoch = takesOver.epoch + 1
        this.deps.model.replace(takesOver.name, this.name)
      } else {
        this.askForId()
        return
      }
    }
    if (this.nextBatch === batches.length && this.queue.length === 0) {
      this.isDone = true
      return
    }
    if (this.options.pauseAfter !== undefined && this.nextBatch >= this.options.pauseAfter && !this.isRecovering) {
      const { random } = this.deps.world
      this.options.pauseAfter = undefined
      this.isPaused = true
      this.deps.world.hit('producer paused')
      this.deps.world.after(random.int(300, 2_000), () => {
        this.isPaused = false
        this.pump()
      })
    }
    const limit = idempotent ? 5 : 1
    while (!this.isRecovering && this.inFlight < limit && (this.inFlight < this.queue.length || this.nextBatch < batches.length))
      this.sendNext()
  }

  private sendNext(): void {
    const { model } = this.deps
    const { batches, topic, idempotent } = this.options
    if (this.inFlight === this.queue.length) {
      const { partition, records } = batches[this.nextBatch++]
      const sequence = this.sequences.get(partition) ?? 0
      this.sequences.set(partition, sequence + records.length)
      const values = records.map(({ value }) => value)
      const batch = model.add({ writer: this.name, topic, partition, values, once: idempotent, state: 'open', firstOffset: -1, sends: 0 })
      this.queue.push({ batch, records, sequence })
    }
    const { batch, records, sequence } = this.queue[this.inFlight++]
    batch.sends++
    const state = idempotent ? { producerId: this.producerId, epoch: this.epoch, sequence } : undefined
    const bytes = recordBatch(records, Math.floor(this.deps.clock()), state)
    const body = new Out().string(null).int16(-1).int32(30_000).int32(1).string(topic).int32(1).int32(batch.partition).bytes(bytes)
    this.call(API.PRODUCE, body, (answer) => this.answered(batch, answer))
  }

  private answered(batch: SentBatch, answer: In | undefined): void {
    const { world, model } = this.deps
    this.inFlight--
    const { errorCode, baseOffset } = answer ? readProduced(answer) : { errorCode: undefined, baseOffset: -1 }
    world.trace(
      `${this.name} ${batch.partition}: ${errorCode === undefined ? 'no answer' : errorCode === 0 ? `offset ${baseOffset}` : `error ${errorCode}`}`,
    )
    if (errorCode === 0) {
      if (!this.isRecovering || this.queue[0]?.batch === batch) this.settle(batch, () => model.acknowledge(batch, baseOffset))
      // Behind one that failed: it will be sent again, and must get the same offset then.
      else model.acknowledge(batch, baseOffset)
    } else if (errorCode !== undefined && ERROR_FENCED.has(errorCode)) {
      world.hit('producer fenced')
      for (const { batch: open } of this.queue) if (open.state === 'open') open.state = 'unknown'
      this.isDone = true
      this.drop()
      return
    } else if (errorCode !== undefined && !ERROR_RETRIABLE.has(errorCode)) throw new Violation(`${this.name} got error ${errorCode}`)
    else if (!this.options.retries) {
      this.settle(batch, () => {
        batch.state = errorCode === undefined ? 'unknown' : 'failed'
      })
      world.hit(errorCode === undefined ? 'producer left without an answer' : 'producer told that it failed')
    } else this.isRecovering = true
    if (this.isRecovering && this.inFlight === 0) {
      this.isRecovering = false
      world.after(world.random.int(5, 60), () => this.pump())
    } else if (!this.isRecovering) this.pump()
  }

  private settle(batch: SentBatch, how: () => void): void {
    how()
    this.queue = this.queue.filter((one) => one.batch !== batch)
  }

  private askForId(): void {
    this.isBusy = true
    this.call(API.INIT_PRODUCER_ID, new Out().string(null).int32(60_000), (answer) => {
      this.isBusy = false
      if (answer) {
        answer.int32()
        const errorCode = answer.int16()
        if (errorCode === 0) {
          this.producerId = answer.int64()
          this.epoch = answer.int16()
        }
      }
      this.later()
    })
  }

  private later(): void {
    this.deps.world.after(this.deps.world.random.int(5, 60), () => this.pump())
  }
}

export interface HttpOptions {
  topic: string
  /** Sent with an Idempotency-Key, again until it is answered. */
  keyed: boolean
  requests: Sent[][]
}

export class HttpProducer {
  isDone = false
  readonly name: string
  private readonly options: HttpOptions
  private readonly deps: ClientDeps
  private next = 0

  constructor(name: string, options: HttpOptions, deps: ClientDeps) {
    this.name = name
    this.options = options
    this.deps = deps
  }

  start(delayMs: number): void {
    this.deps.world.after(delayMs, () => this.begin())
  }

  private begin(): void {
    const { topic, keyed, requests } = this.options
    if (this.next === requests.length) {
      this.isDone = true
      return
    }
    const records = requests[this.next++]
    const values = records.map(({ value }) => value)
    const batch = this.deps.model.add({
      writer: `${this.name}-${this.next}`,
      topic,
      partition: -1,
      values,
      once: keyed,
      state: 'open',
      firstOffset: -1,
      sends: 0,
    })
    this.send(batch)
  }

  private send(batch: SentBatch): void {
    const { world, network, endpoint } = this.deps
    batch.sends++
    let isSettled = false
    const finish = (answer: EventsAnswer | Error | undefined) => {
      if (isSettled) return
      isSettled = true
      this.answered(batch, answer)
    }
    world.after(TIMEOUT_MS, () => finish(undefined))
    const toServer = network.delayMs()
    if (toServer === undefined) return
    world.after(toServer, () => {
      const body = Buffer.from(batch.values.join('\n'))
      const { topic } = batch
      const idempotencyKey = this.options.keyed ? batch.writer : undefined
      const answer = endpoint.post({
        topic,
        body,
        form: 'ndjson',
        traceId: '0'.repeat(32),
        source: 'http',
        client: '127.0.0.1',
        idempotencyKey,
      })
      const reply = (what: EventsAnswer | Error) => {
        const delayMs = network.delayMs()
        if (delayMs !== undefined) world.after(delayMs, () => finish(what))
      }
      answer?.then(reply, reply)
    })
  }

  private answered(batch: SentBatch, answer: EventsAnswer | Error | undefined): void {
    const { world } = this.deps
    const code = answer instanceof Error ? (answer as Error & { code?: string }).code : undefined
    world.trace(`${batch.writer}: ${answer === undefined ? 'no answer' : answer instanceof Error ? code : answer.status}`)
    if (answer && !(answer instanceof Error)) {
      if (answer.status !== 202) throw new Violation(`${batch.writer} was answered ${answer.status} ${answer.text}`)
      this.acknowledge(batch, JSON.parse(answer.text))
    } else if (this.options.keyed) {
      if (code && !/^(LOG_|INGEST_PARTLY_STORED|INGEST_CLOSED)/.test(code))
        throw new Violation(`${batch.writer} got ${code}: ${(answer as Error).message}`)
      world.hit('request sent again with its key')
      world.after(world.random.int(5, 80), () => this.send(batch))
      return
    } else batch.state = answer === undefined || code === 'INGEST_PARTLY_STORED' ? 'unknown' : 'failed'
    world.after(world.random.int(0, 30), () => this.begin())
  }

  /** The answer says which offsets: they must hold the values, each partition in the order of the body. */
  private acknowledge(batch: SentBatch, answer: { accepted: number; offsets: { partition: number; first: number; last: number }[] }): void {
    if (answer.accepted !== batch.values.length)
      throw new Violation(`${batch.writer} sent ${batch.values.length} events, ${answer.accepted} were accepted`)
    batch.state = 'acked'
    const count = answer.offsets.reduce((sum, { first, last }) => sum + last - first + 1, 0)
    if (count !== batch.values.length)
      throw new Violation(`${batch.writer} sent ${batch.values.length} events, its answer names ${count} offsets`)
    this.deps.model.answers.push({ batch, offsets: answer.offsets })
  }
}
