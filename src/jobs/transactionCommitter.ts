// A topic as a sink of two-phase commit: the records of an epoch are a transaction, prepared by its checkpoint and committed after it.
//
//   append … append | cut | append …          the next epoch's records go into a transaction under another id meanwhile
//                     '--> checkpoint durable --> commit
//                     '--> failed: it waits, and the next checkpoint has it too
//
// Invariants
//   1. A transaction is committed if and only if it is in a durable checkpoint; again after a restart, until it is.
//   2. An id is used again only when its last transaction has ended.
//   3. An append that fails spoils its epoch: the job goes back to its last checkpoint, and the epoch's transaction is aborted.
import { toStreamError } from '../base/index.ts'
import { type BatchBuilder, finishedBatch, type SinkTransactions, type Transaction, type TransactionRef } from '../log/index.ts'
import { jobErrors } from './errors.ts'
import { type OutputBatch, persistently, type SinkCommitter, type SinkCut } from './sinkCommitters.ts'

/** So many epochs may wait for a checkpoint that succeeds. */
const IDS = 8
const prefixOf = (queryId: string): string => `millrace-${queryId}-`

export class TransactionCommitter implements SinkCommitter {
  private readonly transactions: SinkTransactions
  private readonly queryId: string
  private readonly topic: string
  /** By index of its id: transactions that have not ended. */
  private readonly open = new Map<number, TransactionRef>()
  private current: { index: number; transaction: Transaction } | undefined
  private cutRefs: { index: number; ref: TransactionRef }[] = []
  /** Appends and cuts, one after the other. */
  private turn: Promise<unknown> = Promise.resolve()
  private isClosed = false

  constructor(transactions: SinkTransactions, queryId: string, topic: string) {
    this.transactions = transactions
    this.queryId = queryId
    this.topic = topic
  }

  /** @throws StreamError  the epoch is spoilt */
  append(batch: OutputBatch): Promise<void> {
    const done = this.turn.then(async () => {
      if (this.isClosed) return
      this.current ??= await this.begin()
      await this.current.transaction.append(batch.topic, batch.partition, finishedBatch(batch.bytes, batch.recordCount) as BatchBuilder)
    })
    this.turn = done
    done.catch(() => {})
    return done
  }

  private async begin() {
    const index = Array.from({ length: IDS }, (_, i) => i).find((i) => !this.open.has(i))
    if (index === undefined) throw jobErrors('SINK_EPOCHS_WAIT', { query: this.queryId, count: IDS })
    const transaction = await persistently(
      () => this.transactions.begin(`${prefixOf(this.queryId)}${index}`),
      () => !this.isClosed,
    )
    if (!transaction) throw jobErrors('SINK_CLOSED', { query: this.queryId })
    this.open.set(index, transaction.ref)
    return { index, transaction }
  }

  cut(): Promise<SinkCut> {
    const done = this.turn.then((): SinkCut => {
      this.current = undefined
      this.cutRefs = [...this.open].map(([index, ref]) => ({ index, ref }))
      return { state: { kind: 'transaction', topic: this.topic, refs: this.cutRefs.map(({ ref }) => ref) }, updates: [] }
    })
    this.turn = done
    done.catch(() => {})
    return done
  }

  async settle(isDurable: boolean): Promise<void> {
    const refs = this.cutRefs
    this.cutRefs = []
    if (!isDurable) return
    for (const { index, ref } of refs) {
      await persistently(
        () => this.transactions.commit(ref),
        () => true,
      )
      this.open.delete(index)
    }
  }

  async close(isUndone: boolean): Promise<void> {
    this.isClosed = true
    await this.turn.catch(() => {})
    if (!isUndone) return
    for (const ref of this.open.values())
      await persistently(
        () => this.transactions.abort(ref),
        () => true,
      )
    this.open.clear()
  }
}

/**
 * After a restart, before the query writes: commits what its checkpoint says, aborts all else that it has left open.
 *
 * @returns  what of the checkpoint was not there to be committed any more, for people
 */
export async function recoverTransactions(
  transactions: SinkTransactions,
  queryId: string,
  refs: readonly TransactionRef[],
): Promise<string[]> {
  const notes: string[] = []
  for (const ref of refs) {
    try {
      await persistently(
        () => transactions.commit(ref),
        () => true,
      )
    } catch (error) {
      const failure = toStreamError(error)
      if (failure.code !== 'LOG_TRANSACTION_ABORTED') throw failure
      notes.push(`${queryId}: ${failure.message}`)
    }
  }
  for (const info of await transactions.list(prefixOf(queryId)))
    if (info.state === 'Ongoing' && /^\d+$/.test(info.transactionalId.slice(prefixOf(queryId).length)))
      await persistently(
        () => transactions.abort(info),
        () => true,
      )
  return notes
}
