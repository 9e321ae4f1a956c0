// The Kafka port, where it runs in the thread of the log's writer, as the main side sees it: all that is asked of it crosses a message port.
//
// Invariants
//   1. If that thread ends, all that waits for it is refused with LOG_WRITER_STOPPED. If it does not answer, people who ask get KAFKA_PORT_SILENT
//      after SILENCE_MS; sinks wait, as they do for the log. Only time in which this thread ran counts: a process that was suspended, or was busy
//      itself, has heard nobody.
//   2. Appends of a sink's transaction arrive in the order of their calls. Their bytes are copied: a builder's memory is used again.
import { MessageChannel, type MessagePort, type TransferListItem } from 'node:worker_threads'
import type { Gauge } from 'prom-client'
import { applyMetrics, metrics, type StreamError } from '../base/index.ts'
import {
  type AppendResult,
  logErrors,
  SequencedTransaction,
  type SinkTransactions,
  type Transaction,
  type TransactionInfo,
  type TransactionRef,
} from '../log/index.ts'
import type { KafkaLogger } from './broker.ts'
import { kafkaErrors, reviveKafkaError } from './errors.ts'
import type { GroupLook, GroupPlace, GroupSummary, GroupsForPeople } from './groups/admin.ts'
import type { FromHost, HostCallName, HostCalls, ToHost } from './hostMessages.ts'
import type { HostedOptions, KafkaServer } from './server.ts'

const SILENCE_MS = 10_000
/** So often is looked, within that time, whether an answer has come. */
const LOOK_COUNT = 20

/** The module that `openLog` is to start the log's writer with. */
export const kafkaThread = new URL('./writerThread.ts', import.meta.url)

interface Waiting {
  resolve: (result: never) => void
  reject: (error: Error) => void
  limit: NodeJS.Timeout | undefined
}

export class HostedKafka implements SinkTransactions {
  /** The other end, for `openLog`. */
  readonly hostPort: MessagePort
  logger: KafkaLogger = { warn: () => {}, error: () => {} }
  private readonly port: MessagePort
  private readonly silenceMs: number
  private readonly waiting = new Map<number, Waiting>()
  private lastId = 0
  private isEnded = false
  private trouble: StreamError | undefined
  /** Gauges that the thread sets. */
  private readonly gauges = new Set<string>()
  /** All groups, while they are asked for. */
  private looking: Promise<GroupsForPeople> | undefined

  /** @param silenceMs  how long people wait for an answer */
  constructor(silenceMs = SILENCE_MS) {
    this.silenceMs = silenceMs
    const { port1, port2 } = new MessageChannel()
    this.port = port1
    this.hostPort = port2
    port1.on('message', (message: FromHost) => this.receive(message))
    port1.on('close', () => this.end())
    port1.unref()
  }

  /**
   * Opens the Kafka port.
   *
   * @param tokenFile  of the access tokens that count as passwords
   * @throws           as `startKafka`
   */
  async open(options: HostedOptions, logger: KafkaLogger, tokenFile: string | undefined): Promise<KafkaServer> {
    this.logger = logger
    this.trouble = undefined
    const { host, port } = await this.call('open', [options, tokenFile])
    return {
      host,
      port,
      groups: () => this.groups(port),
      users: {
        list: () => this.ask('users', []),
        create: (name, password) => this.ask('createUser', [name, password]),
        delete: (name) => this.ask('deleteUser', [name]),
      },
      trouble: () => this.trouble,
      close: () => this.callUnlessEnded('close'),
    }
  }

  async begin(transactionalId: string, options?: { timeoutMs?: number }): Promise<Transaction> {
    return new HostedTransaction(await this.call('begin', [transactionalId, options]), (...args) => this.append(args))
  }
  commit(ref: TransactionRef): Promise<boolean> {
    return this.call('commit', [ref])
  }
  abort(ref: TransactionRef): Promise<void> {
    return this.call('abort', [ref])
  }
  list(prefix?: string): Promise<TransactionInfo[]> {
    return this.call('transactions', [prefix])
  }
  close(): Promise<void> {
    return this.callUnlessEnded('closeTransactions')
  }

  /** What ended with the thread needs no end of its own. */
  private async callUnlessEnded(name: 'close' | 'closeTransactions'): Promise<void> {
    await this.call(name, []).catch((error: unknown) => {
      if (!this.isEnded) throw error
    })
  }

  private append([ref, topic, partition, batch, recordCount]: HostCalls['append']['args']): Promise<AppendResult> {
    const copy = new Uint8Array(batch)
    return this.call('append', [ref, topic, partition, copy, recordCount], [copy.buffer])
  }

  /** Who asks while others do gets the same answer. */
  private groups(port: number): Promise<GroupsForPeople> {
    this.looking ??= this.lookAtGroups(port).finally(() => {
      this.looking = undefined
    })
    return this.looking
  }

  private async lookAtGroups(port: number): Promise<GroupsForPeople> {
    const all = new Map<string, GroupLook>()
    let after: string | undefined
    do {
      const page: HostCalls['groups']['result'] = await this.ask('groups', [after])
      for (const group of page.groups) all.set(group.id, group)
      after = page.next
    } while (after !== undefined)
    return {
      port,
      list: () => [...all.values()].map(({ members: _, offsets: __, ...summary }): GroupSummary => summary),
      members: (id) => all.get(id)?.members ?? [],
      offsets: (id) => all.get(id)?.offsets ?? [],
      commit: (id: string, offsets: readonly (GroupPlace & { offset: number })[]) => this.ask('commitGroup', [id, offsets]),
      delete: (id) => this.ask('deleteGroup', [id]),
      forgetTopic: (topic) => this.ask('forgetTopic', [topic]),
    }
  }

  /** For people, who do not wait for ever. @throws KAFKA_PORT_SILENT */
  private ask<N extends HostCallName>(name: N, args: HostCalls[N]['args']): Promise<HostCalls[N]['result']> {
    return this.call(name, args, [], this.silenceMs)
  }

  private call<N extends HostCallName>(
    name: N,
    args: HostCalls[N]['args'],
    transfer: TransferListItem[] = [],
    limitMs?: number,
  ): Promise<HostCalls[N]['result']> {
    return new Promise((resolve, reject) => {
      if (this.isEnded) throw stopped()
      const id = ++this.lastId
      let lookCount = 0
      const look = () => {
        // However late it is called, it is called once.
        if (++lookCount < LOOK_COUNT) return
        this.forget(id)
        reject(kafkaErrors('KAFKA_PORT_SILENT', { seconds: limitMs! / 1_000 }))
      }
      const limit = limitMs === undefined ? undefined : setInterval(look, limitMs / LOOK_COUNT)
      this.waiting.set(id, { resolve: resolve as (result: never) => void, reject, limit })
      this.port.ref()
      this.port.postMessage({ id, name, args } satisfies ToHost, transfer)
    })
  }

  private forget(id: number): void {
    clearInterval(this.waiting.get(id)?.limit)
    this.waiting.delete(id)
    if (this.waiting.size === 0) this.port.unref()
  }

  private receive(message: FromHost): void {
    if (message.kind === 'line') this.logger[message.level](message.fields, message.message)
    if (message.kind === 'trouble') this.trouble = message.error && reviveKafkaError(message.error)
    if (message.kind === 'metrics') {
      applyMetrics(message.changes)
      for (const { name } of message.changes.levels) this.gauges.add(name)
    }
    if (message.kind !== 'reply') return
    const { id, error, result } = message
    const waiting = this.waiting.get(id)
    if (!waiting) return
    this.forget(id)
    if (error) waiting.reject(reviveKafkaError(error))
    else waiting.resolve(result as never)
  }

  /** The thread is gone: what it measured is so no more. */
  private end(): void {
    this.isEnded = true
    for (const name of this.gauges) (metrics.getSingleMetric(name) as Gauge | undefined)?.reset()
    for (const { reject, limit } of this.waiting.values()) {
      clearInterval(limit)
      reject(stopped())
    }
    this.waiting.clear()
  }
}

const stopped = () => logErrors('LOG_WRITER_STOPPED', { reason: 'its thread ended' })

class HostedTransaction extends SequencedTransaction {
  private readonly send: (...args: HostCalls['append']['args']) => Promise<AppendResult>
  private failure: unknown

  constructor(ref: TransactionRef, send: (...args: HostCalls['append']['args']) => Promise<AppendResult>) {
    super(ref)
    this.send = send
  }

  async appendBatch(topic: string, partition: number, batch: Uint8Array, recordCount: number): Promise<AppendResult> {
    try {
      return await this.send(this.ref, topic, partition, batch, recordCount)
    } catch (error) {
      this.failure ??= error
      throw error
    }
  }

  protected check(): void {
    if (this.failure) throw this.failure
  }
}
