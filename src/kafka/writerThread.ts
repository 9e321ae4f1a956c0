// The thread of the log's writer, with the Kafka port in it: a produce request is read, checked, written, synced and answered here, and no
// other thread is woken for it. See hostedKafka.ts for the main side.
//
// Invariants
//   1. Nothing here waits for the disk but the log's own writes and syncs, and the start: what is far from the end of the log is read by a thread of
//      its own (farReaders.ts; small pieces are read here until it has started), and large batches are compressed again by another.
//   2. There is one coordinator of transactions, here; sinks of the main side reach it through the port.
//   3. An error here that nobody catches is counted and told, and the log goes on: it is nothing of the writer's, whose own end the thread
//      (log/writer.ts).
import { relayMetrics, type StreamError, TokenStore, toStreamError } from '../base/index.ts'
import {
  errorCodeOf,
  HostedLog,
  openTransactions,
  openWriter,
  type SequencedTransaction,
  type TransactionRef,
  type Writer,
} from '../log/index.ts'
import type { KafkaLogger } from './broker.ts'
import { kafkaErrors } from './errors.ts'
import { ReaderThread } from './farReaders.ts'
import type { FromHost, HostCallName, HostCalls, ToHost } from './hostMessages.ts'
import { kafkaMetrics } from './limits.ts'
import { startKafka } from './server.ts'

const METRICS_MS = 250

type Handlers = { [N in HostCallName]: (...args: HostCalls[N]['args']) => HostCalls[N]['result'] | Promise<HostCalls[N]['result']> }

function host(writer: Writer): void {
  const port = writer.host!
  const log = new HostedLog(writer)
  const transactions = openTransactions(log)
  /** Of sinks, until they have ended. */
  const open = new Map<string, SequencedTransaction>()
  let server: Awaited<ReturnType<typeof startKafka>> | undefined
  const far = new ReaderThread()

  const send = (message: FromHost) => port.postMessage(message)
  const line = (level: 'warn' | 'error') => (said: { err?: unknown }, message: string) => {
    // What crosses the port is an error without its code.
    const code = errorCodeOf(said.err)
    const fields = code === undefined ? said : { code, ...said }
    try {
      send({ kind: 'line', level, fields, message })
    } catch {
      // Something in it cannot be sent.
      send({ kind: 'line', level, fields: {}, message })
    }
  }
  const logger: KafkaLogger = { warn: line('warn'), error: line('error') }
  process.on('uncaughtException', (err) => {
    kafkaMetrics.uncaught.inc()
    const reason = err instanceof Error ? err.message : String(err)
    logger.error({ code: errorCodeOf(err) ?? 'INTERNAL', err }, `the Kafka port goes on after an error that nobody caught: ${reason}`)
  })
  const changes = relayMetrics()
  setInterval(() => {
    const changed = changes()
    if (changed) send({ kind: 'metrics', changes: changed })
  }, METRICS_MS).unref()

  const opened = () => {
    if (!server) throw kafkaErrors('KAFKA_REQUEST_INVALID', { reason: 'the port is not open' })
    return server
  }
  const keyOf = ({ transactionalId, producerId, producerEpoch }: TransactionRef) => `${producerId} ${producerEpoch} ${transactionalId}`
  const handlers: Handlers = {
    open: async (options, tokenFile) => {
      const tokens = tokenFile === undefined ? undefined : new TokenStore(tokenFile)
      const onTrouble = (error: StreamError | undefined) => send({ kind: 'trouble', error: error?.toJSON() })
      server = await startKafka({ ...options, log, logger, tokens, far, breathe: () => writer.breathe(), onTrouble })
      return { host: server.host, port: server.port }
    },
    close: async () => {
      await server?.close()
      server = undefined
      await far.close()
      return undefined
    },
    groups: (after) => opened().admin.page(after),
    commitGroup: async (id, offsets) => void (await opened().admin.commit(id, offsets)),
    deleteGroup: async (id) => void (await opened().admin.delete(id)),
    forgetTopic: async (topic) => void (await opened().admin.forgetTopic(topic)),
    users: () => opened().users.list(),
    createUser: (name, password) => opened().users.create(name, password),
    deleteUser: async (name) => void (await opened().users.delete(name)),
    begin: async (transactionalId, options) => {
      const transaction = (await transactions.begin(transactionalId, options)) as SequencedTransaction
      open.set(keyOf(transaction.ref), transaction)
      return transaction.ref
    },
    append: (ref, topic, partition, batch, recordCount) => {
      const transaction = open.get(keyOf(ref))
      if (!transaction) throw new Error(`no transaction ${keyOf(ref)} is open`)
      return transaction.appendBatch(topic, partition, batch, recordCount)
    },
    commit: async (ref) => {
      // To try again takes the reference alone.
      open.delete(keyOf(ref))
      return transactions.commit(ref)
    },
    abort: async (ref) => {
      open.delete(keyOf(ref))
      await transactions.abort(ref)
      return undefined
    },
    transactions: (prefix) => transactions.list(prefix),
    closeTransactions: async () => void (await transactions.close()),
  }

  port.on('message', async ({ id, name, args }: ToHost) => {
    try {
      const result = await (handlers[name] as (...args: unknown[]) => unknown)(...args)
      send({ kind: 'reply', id, result })
    } catch (error) {
      send({ kind: 'reply', id, error: toStreamError(error).toJSON() })
    }
  })
}

const writer = openWriter()
if (writer) {
  host(writer)
  await writer.runInTurns()
  // The log is closed: what is still open here, connections and helpers, has nothing to lose.
  process.exit(0)
}
