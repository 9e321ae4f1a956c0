// Where the rows of queries go: what is made ready before a query starts, what the worker is told, and who takes part in checkpoints for it.
import type { StreamError } from '../base/index.ts'
import type { Batch, Field } from '../data/index.ts'
import type { CheckpointStore, QuerySpec, SinkSpec } from '../engine/index.ts'
import type { Log, SinkTransactions } from '../log/index.ts'
import { jobErrors } from './errors.ts'
import type { ApplyReport } from './manager.ts'
import type { ProjectQuery } from './project.ts'
import { sinkParts } from './recordShape.ts'
import type { SavedQuery, SavedStates } from './savedStates.ts'
import { type SinkCommitter, ViewCommitter, WorkerCommitter } from './sinkCommitters.ts'
import { filesSink, isExactlyOnceTopic, lateTopicsOf, sinkKeyOf, topicOf } from './tables.ts'
import { recoverTransactions, TransactionCommitter } from './transactionCommitter.ts'

/** Where the changes of materialized tables go: the view store, seen from here. */
export interface LiveTables {
  define(table: { name: string; fields: Field[]; primaryKey: number[]; comment?: string }): void
  drop(name: string): void
  /** Empties it; who watches is told why. */
  restore(name: string, content: { epoch: number; rows: []; deltas?: { rows: unknown[][]; deleted: unknown[][] }[] }, reason: string): void
  changesSince(name: string, version: number | undefined): { version: number; all: boolean; rows: unknown[][]; deleted: unknown[][] }
  epochOf(name: string): number
  apply(name: string, batch: Batch, meta: { epoch: number; originMs?: number }): void
}

export interface SinkOptions {
  log: Log
  tables: LiveTables
  /** Paths in SQL are relative to it. */
  projectFolder: string
  store: CheckpointStore
  /** Absent where the log is a cluster of others: its topics are written at least once. */
  transactions: SinkTransactions | undefined
  /** Where a topic of late rows ends behind all that was handed over so far. */
  latePosition(topic: string): Promise<number>
  onCheckpointFailed(job: string, error: StreamError): void
}

export class QuerySinks {
  private readonly options: SinkOptions
  private readonly saved: Pick<SavedStates, 'viewOf'>
  /** Live tables that are defined. */
  private readonly liveTables = new Set<string>()
  private epoch = 0

  constructor(options: SinkOptions, saved: Pick<SavedStates, 'viewOf'>) {
    this.options = options
    this.saved = saved
  }

  /** Live tables that are not wanted any more. */
  dropTables(isUnwanted: (name: string) => boolean): void {
    for (const name of this.liveTables)
      if (isUnwanted(name)) {
        this.liveTables.delete(name)
        this.options.tables.drop(name)
      }
  }

  applyChanges(table: string, batch: Batch, originMs: number | undefined): void {
    this.options.tables.apply(table, batch, { epoch: ++this.epoch, originMs })
  }

  async specOf(query: ProjectQuery, saved: SavedQuery | undefined, report: ApplyReport): Promise<QuerySpec> {
    const lateTopics = lateTopicsOf(query)
    const sinkKey = sinkKeyOf(query)
    return {
      id: query.id,
      name: query.id,
      plan: query.plan,
      sink: await this.open(query, saved, report),
      ...(sinkKey && { sinkKey }),
      ...(lateTopics && { lateTopics }),
    }
  }

  /**
   * Makes a query's target ready: its table is defined and has the rows of the checkpoint, what the checkpoint had decided is done.
   *
   * @throws StreamError SINK_NOT_UPDATABLE, SINK_KEY_MISSING, CHECKPOINT_DAMAGED, CHECKPOINT_UNREADABLE
   */
  async open({ id, plan, target }: ProjectQuery, saved: SavedQuery | undefined, report: ApplyReport): Promise<SinkSpec> {
    if (target.kind === 'materializedTable') {
      const { name, fields, primaryKey, comment } = target.table
      const isKnown = this.liveTables.has(name)
      if (!isKnown) this.options.tables.define({ name, fields, primaryKey, comment })
      this.liveTables.add(name)
      const content = saved && this.saved.viewOf(saved)
      if (content) this.epoch = Math.max(this.epoch, content.epoch)
      if (content) this.options.tables.restore(name, content, 'its query goes on from a checkpoint')
      else if (isKnown) this.options.tables.restore(name, { rows: [], epoch: this.epoch }, 'its query starts anew')
      return { kind: 'view', name }
    }
    const { table } = target
    const { connector = 'kafka' } = table.options
    if (connector === 'blackhole') return { kind: 'blackhole' }
    if (connector === 'print') return { kind: 'collect' }
    if (connector === 'filesystem') return filesSink({ ...this.options, id, plan, table, saved, report })
    const upsert = connector === 'upsert-kafka'
    if (!upsert && plan.changelog !== 'append') throw jobErrors('SINK_NOT_UPDATABLE', { table: table.name, connector })
    if (upsert && !table.primaryKey) throw jobErrors('SINK_KEY_MISSING', { table: table.name })
    const topic = topicOf(table)
    const { transactions } = this.options
    if (transactions && isExactlyOnceTopic(table)) {
      const refs = saved?.state.sink.kind === 'transaction' ? saved.state.sink.refs : []
      report.notices.push(...(await recoverTransactions(transactions, id, refs)))
    } else if (isExactlyOnceTopic(table)) report.notices.push(`${id}: the topic ${topic} of the cluster is written at least once`)
    const { partitions, config } = this.options.log.topic(topic)!
    return {
      kind: 'topic',
      table: table.name,
      topic,
      upsert,
      partitionCount: partitions.length,
      batchBytesMax: config['max.message.bytes'],
      ...sinkParts(table),
    }
  }

  /** What a checkpoint asks of a query's sink. */
  committerOf(query: ProjectQuery, saved: SavedQuery | undefined): SinkCommitter {
    const committer = this.sinkCommitterOf(query, saved)
    const topics = [...new Set(Object.values(lateTopicsOf(query) ?? {}))]
    if (topics.length === 0) return committer
    return {
      append: committer.append?.bind(committer),
      settle: committer.settle.bind(committer),
      giveUp: committer.giveUp?.bind(committer),
      close: committer.close?.bind(committer),
      cut: async (checkpointId, ofWorker) => {
        const positions = topics.map((topic) => this.options.latePosition(topic))
        const cut = await committer.cut(checkpointId, ofWorker)
        const latePositions = Object.fromEntries((await Promise.all(positions)).map((position, i) => [topics[i], position]))
        return { ...cut, latePositions }
      },
    }
  }

  private sinkCommitterOf({ id, target }: ProjectQuery, saved: SavedQuery | undefined): SinkCommitter {
    if (target.kind === 'materializedTable')
      return new ViewCommitter(this.options.tables, id, saved?.state.sink.kind === 'view' ? saved.state.sink.segments : [])
    const { transactions } = this.options
    if (transactions && isExactlyOnceTopic(target.table)) return new TransactionCommitter(transactions, id, topicOf(target.table))
    const isFiles = target.table.options.connector === 'filesystem'
    return new WorkerCommitter(isFiles ? this.options.store.disk : undefined, (error) => this.options.onCheckpointFailed(id, error))
  }
}
