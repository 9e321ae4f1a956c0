// The process under test, as one incarnation between two crashes: log, Kafka broker, front door, queries and live tables, wired as in
// `src/app/platform.ts`, over a disk that fails and a clock that jumps.
//
// Invariants
//   1. After `die` nothing of it reaches anybody: its disk refuses, its sockets are cut, its promises never settle.
//   2. It starts by itself, whatever the crash left; only a disk that fails while it starts stops it, and then the next start is tried.

import { toStreamError } from '../../src/base/index.ts'
import { formatType } from '../../src/data/index.ts'
import type { Manifest, QueryState } from '../../src/engine/checkpoints/manifest.ts'
import { restoreOptions, verifyCheckpoint } from '../../src/engine/checkpoints/restore.ts'
import type { PartUpdate } from '../../src/engine/checkpoints/stateTracker.ts'
import { CheckpointStore } from '../../src/engine/checkpoints/store.ts'
import { parallelismOf } from '../../src/engine/exchange/index.ts'
import { formatValue } from '../../src/engine/expressions/index.ts'
import type { JobOptions } from '../../src/engine/job.ts'
import type { SinkSpec } from '../../src/engine/protocol.ts'
import { Memory } from '../../src/engine/spill/memory.ts'
import { removeSpilled } from '../../src/engine/spill/spillFiles.ts'
import { Door } from '../../src/ingest/door.ts'
import { bindProject, type Project, type ProjectQuery } from '../../src/jobs/project.ts'
import { sinkParts } from '../../src/jobs/recordShape.ts'
import { type SavedQuery, SavedStates } from '../../src/jobs/savedStates.ts'
import { type OutputBatch, type SinkCommitter, type SinkCut, ViewCommitter, WorkerCommitter } from '../../src/jobs/sinkCommitters.ts'
import { filesSink, sinkKeyOf, sourceSpecs } from '../../src/jobs/tables.ts'
import { recoverTransactions, TransactionCommitter } from '../../src/jobs/transactionCommitter.ts'
import { Broker } from '../../src/kafka/broker.ts'
import { Connection } from '../../src/kafka/connection.ts'
import { FrameInput } from '../../src/kafka/frameInput.ts'
import { Groups } from '../../src/kafka/groups/coordinator.ts'
import { makeHandlers } from '../../src/kafka/handlers/index.ts'
import { kafkaLimits } from '../../src/kafka/limits.ts'
import { Security } from '../../src/kafka/security/security.ts'
import type { FakeDisk } from '../../src/log/fakeDisk.ts'
import { openTransactions, type TopicConfig, type TransactionInfo, type Transactions } from '../../src/log/index.ts'
import { LogStore } from '../../src/log/store.ts'
import { ViewStore } from '../../src/views/views.ts'
import { type Journaling, journalOptionsOf } from './journaling.ts'
import type { Endpoint } from './kafkaClient.ts'
import type { FakeSocket } from './network.ts'
import { type Pipeline, querySql, type SinkKind, tableSql } from './pipelines.ts'
import { type Scaling, SUBTASKS_MAX } from './scaling.ts'
import { type Read, SimJob } from './simJob.ts'
import { SimLog } from './simLog.ts'
import { Violation, type World } from './world.ts'

/** What a checkpoint has read, and how often its state was dealt out to another number of subtasks. */
export interface CheckpointReads {
  reads: Read[]
  dealt: number
}

export interface ProcessOptions {
  world: World
  disk: FakeDisk
  /** Wall clock of the machine, epoch ms. */
  clock: () => number
  newId: () => string
  pipelines: readonly Pipeline[]
  sinks: readonly SinkKind[]
  tables: { partitionCount: number; delayMs: number }[]
  segmentBytes: number
  otherTopics: Record<string, Partial<TopicConfig>>
  /** What each query had read at each checkpoint, by query and checkpoint id: it outlives the process. */
  checkpoints: Map<string, CheckpointReads>
  /** Whether a query may fail because the disk does. */
  mayFail: () => boolean
  scaling: Scaling
  journaling: Journaling | undefined
  /** Bytes were changed behind its back: it may say so, instead of doing what it should. */
  expectsDamage?: boolean
}

interface RunningQuery {
  index: number
  sink: SinkKind
  job: SimJob | undefined
  committer: SinkCommitter | undefined
  /** Counts its starts: what an earlier one had planned does not happen. */
  start: number
  /** Output that has gone to the transaction of the present epoch. */
  appended: OutputBatch | undefined
  appendsOnTheWay: number
  /** Counts its cuts. */
  epoch: number
  /** The last checkpoint, until its sink has settled. */
  checkpointing: Promise<boolean> | undefined
  /** The newest checkpoint: what the next one is relative to. */
  base: Manifest | undefined
  pipeline: Pipeline
  query: ProjectQuery
  /** What the checkpoint has read that it goes on from. */
  before: Read[]
  /** How often its state was dealt out to another number of subtasks. */
  dealt: number
  failure: { message: string; code: string } | undefined
}

export const FOLDER = '/data'
const SPILL_FOLDER = `${FOLDER}/spill`
const TRANSACTIONS_TOPIC = '__transaction_state'
export const COMPACTED: Partial<TopicConfig> = { 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': 0.1, 'segment.bytes': 1024 }
const silent = { warn: () => {}, error: () => {} }

const projects = new Map<string, Project>()
function projectOf(sql: string): Project {
  let project = projects.get(sql)
  if (!project) {
    project = bindProject([{ name: 'sim.sql', text: sql }])
    const [error] = project.errors
    if (error) throw new Error(`${error.error.message}\n${sql}`)
    projects.set(sql, project)
  }
  return project
}

export class SimProcess implements Endpoint {
  readonly disk: FakeDisk
  readonly log: SimLog
  readonly queries: RunningQuery[] = []
  isDead = false
  isReady = false
  /** What was said of damage, with its code. */
  readonly told: string[] = []
  private readonly options: ProcessOptions
  private readonly sockets = new Set<FakeSocket>()
  private readonly views: ViewStore
  private readonly broker: Broker
  private readonly transactions: Transactions
  private readonly groups: Groups
  private readonly handlers: ReturnType<typeof makeHandlers>
  private readonly door: Door
  private readonly store: CheckpointStore
  private lastCheckpointId = 0
  private readonly memory: SharedArrayBuffer | undefined
  private hasFlipped = false

  /** @throws the disk's error, wrapped by whoever met it */
  constructor(options: ProcessOptions) {
    this.options = options
    this.disk = options.disk
    this.store = new CheckpointStore(FOLDER, options.disk)
    const { world, disk, clock, newId, tables, segmentBytes, scaling } = options
    if (scaling.limitsBytes.length > 0) {
      removeSpilled(disk, SPILL_FOLDER)
      const limitBytes = scaling.random.pick(scaling.limitsBytes)
      this.memory = Memory.budget(limitBytes, options.pipelines.length * SUBTASKS_MAX)
    }
    const { journaling } = options
    const journal = journaling && journalOptionsOf(journaling, world, disk)
    const store = LogStore.open({ disk, folder: FOLDER, durability: 'fsync', journal }, clock())
    if (store.redoneCount > 0) world.hit('journal redone by the start')
    try {
      for (const { kind, cutBytes, reason, path } of store.recovery) {
        if (options.expectsDamage) this.told.push(`${kind}: ${reason}`)
        else if (kind === 'damaged') throw new Violation(`after a crash ${path} is damaged: ${reason}`)
        world.hit('torn tail cut')
        world.trace(`cut ${cutBytes} bytes: ${reason}`)
      }
      tables.forEach(({ partitionCount }, i) => {
        if (!store.topics.has(`t${i}`))
          store.createTopic(
            `t${i}`,
            newId(),
            { partitionCount, 'segment.bytes': segmentBytes, 'message.timestamp.after.max.ms': Number.MAX_SAFE_INTEGER },
            clock(),
          )
      })
      const more = [...options.sinks.keys()]
        .filter((i) => /topic/.test(options.sinks[i]))
        .map((i): [string, Partial<TopicConfig>] => [
          `q${i}`,
          { partitionCount: 2, 'segment.bytes': segmentBytes, ...(options.sinks[i] === 'upsert topic' && COMPACTED) },
        ])
      for (const [name, config] of [...more, ...Object.entries(options.otherTopics)])
        if (!store.topics.has(name)) store.createTopic(name, newId(), config, clock())
      const planCommit = (commit: () => void) =>
        world.after(world.random.next() * 4, () => {
          if (!this.isDead) commit()
        })
      const onNoted = (kind: string, reason: string) => {
        if (!options.expectsDamage) world.background(Promise.reject(new Violation(`after a crash: ${reason}`)))
        this.told.push(`${kind}: ${reason}`)
        if (kind === 'mended') world.hit('open transaction ended by the start')
      }
      this.log = new SimLog({ store, disk, folder: FOLDER, world, clock, newId, onNoted, planCommit })
      this.transactions = openTransactions(this.log, { disk, now: clock })
      // Turns would go by the machine's clock.
      const limits = { ...kafkaLimits, fetchBytes: 16 * 1024, turnMs: Number.POSITIVE_INFINITY }
      const security = new Security({ log: this.log, disk, tokens: undefined, isAlwaysRequired: false, isInsecure: true, superUsers: [] })
      this.broker = new Broker({ log: this.log, logger: silent, limits, autoCreateTopics: false, now: clock, disk, security })
      this.groups = new Groups(this.broker)
      this.handlers = makeHandlers(this.broker, this.groups)
      const schema = {
        fields: projectOf(tableSql(0, 1, 1000)).tables[0].columns.map(({ name, type }) => ({ name, type })),
        keyFields: ['k'],
      }
      this.door = new Door({ log: this.log, topicSchema: () => schema, topicNames: () => [], now: clock, disk })
    } catch (error) {
      store.close()
      throw error
    }
    // Last: one that is not closed is held by the metrics.
    this.views = new ViewStore()
  }

  async start(): Promise<void> {
    const { world, pipelines, sinks } = this.options
    await this.door.start()
    if (this.isDead) return
    this.lastCheckpointId = this.store.lastId()
    for (const [i, pipeline] of pipelines.entries()) {
      const query = this.bind(pipeline, i)
      if (query.target.kind === 'materializedTable') {
        const { name, fields, primaryKey } = query.target.table
        this.views.define({ name, fields, primaryKey })
      }
      const running: RunningQuery = {
        index: i,
        sink: sinks[i],
        start: 0,
        appended: undefined,
        appendsOnTheWay: 0,
        epoch: 0,
        checkpointing: undefined,
        committer: undefined,
        base: undefined,
        job: undefined,
        pipeline,
        query,
        before: [],
        dealt: 0,
        failure: undefined,
      }
      this.queries.push(running)
      this.begin(running)
      const turn = () => {
        if (this.isDead) return
        this.step(running)
        world.after(1 + world.random.next() * 20, turn)
      }
      world.after(world.random.next() * 10, turn)
      const checkpoints = async () => {
        if (this.isDead) return
        await this.checkpoint(running)
        world.after(world.random.int(30, 400), plan)
      }
      const plan = () => world.background(checkpoints())
      world.after(world.random.int(30, 400), plan)
    }
    const cleaning = () => {
      if (this.isDead) return
      this.log.enforceRetention().catch(() => {})
      // As small as the others, so that there is something to compact.
      const states = this.log.topic(TRANSACTIONS_TOPIC)
      if (states && states.config['segment.bytes'] !== 1024) this.log.alterTopic(TRANSACTIONS_TOPIC, COMPACTED).catch(() => {})
      world.background(this.log.compact().finally(() => world.after(world.random.int(100, 500), cleaning)))
    }
    world.after(world.random.int(100, 500), cleaning)
    this.isReady = true
  }

  accept(): ((socket: FakeSocket) => void) | undefined {
    if (this.isDead || !this.isReady) return undefined
    return (socket) => {
      this.sockets.add(socket)
      socket.once('close', () => this.sockets.delete(socket))
      const connection = new Connection(this.broker, this.handlers, socket as never, new FrameInput(this.broker.buffers))
      socket.on('data', (chunk) => connection.receive(chunk))
    }
  }

  post(request: Parameters<Endpoint['post']>[0]): ReturnType<Endpoint['post']> {
    if (this.isDead || !this.isReady) return undefined
    return new Promise((resolve, reject) => {
      const say =
        <T>(tell: (what: T) => void) =>
        (what: T) => {
          if (!this.isDead) tell(what)
        }
      const leave = this.door.admit(request.topic, request.body.length)
      this.door.accept(request).finally(leave).then(say(resolve), say(reject))
    })
  }

  /** While it lives. */
  get liveLog(): SimLog | undefined {
    return this.isDead || !this.isReady ? undefined : this.log
  }

  get openTransactions(): TransactionInfo[] {
    return this.transactions.list()
  }

  /** Whether the queries have read all there is. */
  get isCaughtUp(): boolean {
    return (
      this.isReady &&
      this.queries.every(({ job, query, pipeline }) => {
        const positions = job?.positions() ?? []
        const isAtEnd = positions.length > 0 && positions.every(({ offset, endOffset }) => offset === endOffset)
        if (!isAtEnd || (job!.parallelism === 1 && !this.memory)) return isAtEnd
        return job!.isSettled(query.id, pipeline.eventTimeDelayMs ?? 0)
      })
    )
  }

  /** What a query has read, in the order in which it went on from an exchange. */
  historyOf(index: number): Read[] {
    const { before, job } = this.queries[index]
    return [...before, ...(job?.history ?? [])]
  }

  rowsOf(index: number): unknown[][] {
    const { query } = this.queries[index]
    return this.views.copy(query.id, [], []).map((row) => row.map((value, i) => formatValue(value, query.plan.fields[i].type)))
  }

  /** A crash: from now on it does nothing. The disk is the caller's to take away. */
  die(): void {
    this.isDead = true
    this.countJournal()
    this.log.isDead = true
    for (const socket of this.sockets) {
      socket.removeAllListeners()
      socket.destroy()
    }
    for (const { job } of this.queries) job?.close()
    void this.transactions.close().catch(() => {})
    this.views.close()
  }

  /** A clean stop. What it leaves open is a violation. */
  async stop(): Promise<void> {
    for (const running of this.queries) {
      running.start++
      running.job?.close()
      await running.checkpointing
      await running.committer?.close?.(false)
    }
    for (const socket of [...this.sockets]) socket.destroy()
    this.groups.close()
    this.broker.close()
    await this.transactions.close()
    await this.log.close()
    // It was killed while it stopped.
    if (this.isDead) return
    this.isDead = true
    this.countJournal()
    this.views.close()
    const { openFiles } = this.disk
    if (openFiles.length > 0) throw new Violation(`open after a clean stop: ${openFiles.join(', ')}`)
  }

  private countJournal(): void {
    const { blockCount = 0, lapCount = 0 } = this.log.store.journal ?? {}
    if (blockCount > 0) this.options.world.hit('group committed by the journal', blockCount)
    if (lapCount > 0) this.options.world.hit('lap of the journal', lapCount)
  }

  private bind(pipeline: Pipeline, index: number): ProjectQuery {
    const tables = this.options.tables.map(({ partitionCount, delayMs }, table) => tableSql(table, partitionCount, delayMs)).join('\n')
    const [asView] = projectOf(`${tables}\n${querySql(pipeline, index, 'view', [])}`).queries
    const sink = this.options.sinks[index]
    if (sink === 'view') return asView
    const columns = asView.plan.fields.map(({ name, type }): [string, string] => [name, formatType(type)])
    const [query] = projectOf(`${tables}\n${querySql(pipeline, index, sink, columns)}`).queries
    return query
  }

  /** Starts a query; what fails because the disk does is tried again. */
  private begin(running: RunningQuery): void {
    const start = ++running.start
    running.failure = undefined
    const work = this.startQuery(running, start).catch((error) => {
      if (this.isDead || start !== running.start) return
      if (error instanceof Violation) throw error
      running.failure = toStreamError(error)
      this.restartFailed(running)
    })
    this.options.world.background(work)
  }

  /** What `startJob` of the manager does: the sink first, because what a checkpoint has decided comes before what is new. */
  private async startQuery(running: RunningQuery, start: number): Promise<void> {
    const { query, index } = running
    const { world, clock, disk, scaling } = this.options
    const parallelism = this.parallelismOf(running)
    const { optionsOf, saved } = this.restore(running, parallelism)
    const spec = await this.sinkOf(running, saved)
    if (this.isDead || start !== running.start) return
    const isMine = () => !this.isDead && start === running.start
    const committer = this.committerOf(running, saved)
    running.committer = committer
    running.appended = undefined
    const run = ++scaling.runs
    const spillOf = (subtask: number) =>
      this.memory && {
        memory: new Memory(this.memory, index * SUBTASKS_MAX + subtask),
        folder: SPILL_FOLDER,
        keyGroups: scaling.keyGroups,
      }
    const job = new SimJob({
      world,
      random: scaling.random,
      parallelism,
      dealt: running.dealt,
      run,
      spec: {
        id: `job-${run}`,
        queries: [{ id: query.id, name: query.id, plan: query.plan, sink: spec, sinkKey: sinkKeyOf(query) }],
        sources: sourceSpecs(this.log, [query.plan]).map((source) => ({ ...source, onError: 'fail' })),
        timeZone: 'UTC',
      },
      nowMs: clock(),
      optionsOf: (subtask) => ({ ...(optionsOf?.(subtask) ?? { disk }), spill: spillOf(subtask) }),
      changes: (batch) => {
        if (isMine()) this.views.apply(query.id, batch, { epoch: 1 })
      },
      records: (batch) => {
        if (!isMine()) return
        running.appendsOnTheWay++
        const failed = (error: unknown) => {
          if (!isMine()) return
          // The epoch is spoilt: back to the last checkpoint.
          world.hit('epoch of a topic spoilt')
          running.failure ??= toStreamError(error)
        }
        const { epoch } = running
        const done = () => {
          if (epoch === running.epoch) running.appended = batch
        }
        committer.append!(batch)
          .then(done, failed)
          .finally(() => running.appendsOnTheWay--)
      },
      deadLetters: (reason) => {
        world.violation ??= new Violation(`a row could not be read: ${reason}`)
      },
      failed: (error) => {
        if (isMine()) running.failure ??= error
      },
    })
    running.job = job
    world.hit(`start of ${running.pipeline.operator}`)
    world.hit(`start of a query into ${running.sink}`)
    if (parallelism > 1) world.hit(`start in ${parallelism} subtasks`)
    world.trace(`query ${index} runs${parallelism > 1 ? ` in ${parallelism} subtasks` : ''}`)
    this.restartFailed(running)
  }

  /** As the manager decides it. */
  private parallelismOf({ query }: RunningQuery): number {
    const { scaling } = this.options
    const wanted = scaling.random.pick(scaling.parallelisms)
    const counts = sourceSpecs(this.log, [query.plan]).map(({ descriptor }) => descriptor.partitions.length)
    return parallelismOf(query.plan, wanted, sinkKeyOf(query), counts).subtasks
  }

  private async sinkOf({ query, sink }: RunningQuery, saved: SavedQuery | undefined): Promise<SinkSpec> {
    const { target, plan, id } = query
    if (target.kind === 'materializedTable') return { kind: 'view', name: id }
    const { table } = target
    if (table.options.connector === 'filesystem') {
      const report = { notices: [] as string[] }
      const spec = filesSink({ id, plan, table, saved, report: report as never, projectFolder: FOLDER, store: this.store })
      if (report.notices.length > 0 && this.told.length === 0) throw new Violation(report.notices.join('; '))
      return spec
    }
    const refs = saved?.state.sink.kind === 'transaction' ? saved.state.sink.refs : []
    const notes = await recoverTransactions(this.transactions, id, refs)
    if (this.isDead) return { kind: 'blackhole' }
    if (notes.length > 0 && this.told.length === 0)
      throw new Violation(`what a checkpoint had decided was not committed: ${notes.join('; ')}`)
    const topic = table.options.topic!
    const { partitions, config } = this.log.topic(topic)!
    const [partitionCount, batchBytesMax] = [partitions.length, config['max.message.bytes']]
    return { kind: 'topic', table: table.name, topic, upsert: sink === 'upsert topic', partitionCount, batchBytesMax, ...sinkParts(table) }
  }

  private committerOf({ query, sink }: RunningQuery, saved: SavedQuery | undefined): SinkCommitter {
    const { id, target } = query
    if (sink === 'view') return new ViewCommitter(this.views, id, saved?.state.sink.kind === 'view' ? saved.state.sink.segments : [])
    if (sink === 'json files' || sink === 'csv files') return new WorkerCommitter(this.options.disk)
    return new TransactionCommitter(this.transactions, id, target.table.options.topic!)
  }

  /** A task that is thought dead is replaced; then it comes back, with rows of its own. */
  pauseTask(): void {
    const { world } = this.options
    const running = this.queries.find(
      ({ job, appended, appendsOnTheWay, checkpointing }) => job && appended && appendsOnTheWay === 0 && !checkpointing,
    )
    if (!running || this.isDead) return
    const { committer, appended, job, query } = running
    world.hit('task paused and replaced')
    world.trace(`${query.id} is replaced while it is paused`)
    job!.close()
    running.job = undefined
    running.committer = undefined
    this.begin(running)
    const comeBack = () => {
      if (this.isDead || running.failure) return
      // Not before the next one has taken over.
      if (!running.job) {
        world.after(20, comeBack)
        return
      }
      committer!.append!(appended!).then(
        () => {
          if (!this.isDead) world.violation ??= new Violation(`${query.id}: a task that was replaced could still write`)
        },
        (error) => {
          if (this.isDead) return
          world.hit('replaced task fenced')
          world.trace(`the replaced task of ${query.id}: ${toStreamError(error).code}`)
        },
      )
    }
    world.after(world.random.int(20, 300), comeBack)
  }

  /** The newest checkpoint that can be read, with the rows of the live table; else all begins anew. */
  private restore(running: RunningQuery, parallelism: number): { optionsOf?: (subtask: number) => JobOptions; saved?: SavedQuery } {
    const { world, disk, checkpoints } = this.options
    const { query, pipeline } = running
    const states = new SavedStates(this.store, this.log)
    for (;;) {
      const saved = states.find().get(query.id)
      if (this.options.expectsDamage) for (const { code } of states.problems()) this.told.push(code)
      if (!saved) break
      try {
        const content = states.viewOf(saved)
        const restore = {
          dataFolder: FOLDER,
          folder: saved.folder,
          checkpointId: saved.manifest.id,
          queries: [query.id],
          allowsDropped: [],
        }
        const optionsOf = (subtask: number) => restoreOptions(restore, disk, subtask, parallelism)
        const { parallelism: savedParallelism = 1 } = saved.state
        // Read twice, so that a disk that fails now fails here.
        if (parallelism > 1 || savedParallelism > 1 || this.memory) verifyCheckpoint(this.store, saved.folder, saved.manifest)
        else optionsOf(0).load?.(query.id)?.close?.()
        if (content) this.views.restore(query.id, content)
        const { reads, dealt } = checkpoints.get(`${running.index} ${saved.manifest.id}`)!
        running.before = [...reads]
        running.dealt = dealt + (savedParallelism === parallelism ? 0 : 1)
        running.base = saved.manifest
        if (!saved.state.inputs.some(({ positions }) => positions.some((position) => position > 0)))
          throw new Violation(`checkpoint ${saved.manifest.id} of ${pipeline.operator} has read nothing`)
        world.hit(`restore of ${pipeline.operator}`)
        world.hit(`restore into ${running.sink}`)
        world.trace(`${query.id} goes on from checkpoint ${saved.manifest.id}, ${running.before.length} reads`)
        if (isSpilled(saved.state)) world.hit('restore of spilled state')
        if (savedParallelism !== parallelism) world.hit(`restored in ${savedParallelism < parallelism ? 'more' : 'fewer'} subtasks`)
        return { optionsOf, saved }
      } catch (error) {
        if (this.isDead) break
        if (error instanceof Violation) throw error
        if (this.options.expectsDamage && toStreamError(error).code === 'CHECKPOINT_DAMAGED') this.told.push('CHECKPOINT_DAMAGED')
        else if (!this.options.mayFail()) {
          world.violation ??= new Violation(
            `checkpoint ${saved.manifest.id} of ${pipeline.operator} cannot be used: ${(error as Error).message}`,
          )
          break
        }
        if (toStreamError(error).code !== 'CHECKPOINT_DAMAGED') throw error
        world.hit('checkpoint passed over')
        states.markUnusable({ folder: saved.folder, id: saved.manifest.id }, toStreamError(error))
      }
    }
    running.before = []
    running.dealt = 0
    running.base = undefined
    if (!this.isDead && running.sink === 'view') this.views.restore(query.id, { rows: [], epoch: 0 })
    return {}
  }

  /** What the manager and the thread that writes checkpoints do in the product. */
  private async checkpoint(running: RunningQuery): Promise<boolean> {
    do await running.checkpointing
    while (running.checkpointing)
    running.checkpointing = this.takeCheckpoint(running).finally(() => {
      running.checkpointing = undefined
    })
    return running.checkpointing
  }

  private async takeCheckpoint(running: RunningQuery): Promise<boolean> {
    const { job, committer, query, index, start } = running
    const { world, clock, checkpoints } = this.options
    // One that has read nothing would be one to which nothing can be lost.
    if (!job || !committer || running.failure || this.historyOf(index).length === 0) return false
    const isMine = () => !this.isDead && start === running.start
    const id = ++this.lastCheckpointId
    let taken: { state: QueryState; updates: PartUpdate[]; cutting: Promise<SinkCut> } | undefined
    const asked = job.checkpoint(id, ({ checkpoint: { queries, updates }, reads }) => {
      const [state] = queries
      if (!state || running.failure || !isMine()) return
      checkpoints.set(`${index} ${id}`, { reads: [...running.before, ...reads], dealt: running.dealt })
      running.appended = undefined
      running.epoch++
      taken = { state, updates, cutting: committer.cut(id, state.sink) }
      taken.cutting.catch(() => {})
    })
    // Of one subtask it is there at once.
    if (asked instanceof Promise) await asked
    if (!taken) {
      if (isMine()) this.restartFailed(running)
      // Nothing has happened since the last one. The first subtask hears a round later of what others have put out.
      return asked === false && isMine() && running.base !== undefined && !job.hasChanged
    }
    const { state, updates, cutting } = taken
    const folder = this.store.folderOf(query.id)
    try {
      const cut = await cutting
      if (!isMine() || running.failure) {
        this.restartFailed(running)
        return false
      }
      const request = {
        folder,
        id,
        job: query.id,
        createdMs: clock(),
        queries: [{ ...state, sink: cut.state }],
        updates: [...updates, ...cut.updates],
      }
      running.base = this.store.write({ ...request, base: running.base })
    } catch (error) {
      if (!isMine()) return false
      const { code, message } = toStreamError(error)
      if (!this.mayFailWith({ code, message })) world.violation ??= new Violation(`checkpoint failed: ${code}: ${message}`)
      world.hit(code)
      world.trace(`${query.id} checkpoint ${id}: ${code}`)
      job.settle(false)
      await committer.settle(false)
      // Nobody knows whether it is there, or the state is not what it was: only what the disk says counts.
      if (code === 'CHECKPOINT_UNCERTAIN' || code === 'SPILL_DAMAGED') running.failure = { code, message }
      this.restartFailed(running)
      return false
    }
    world.hit('checkpoint')
    world.trace(`${query.id} checkpoint ${id}`)
    job.settle(true)
    try {
      await committer.settle(true)
    } catch (error) {
      if (!isMine()) return false
      // As the manager does: back to what the disk has, which finishes what the checkpoint has decided.
      const failure = toStreamError(error)
      if (!this.options.mayFail()) throw new Violation(`what checkpoint ${id} had decided was not done: ${failure.message}`)
      world.hit('end of a checkpoint failed')
      running.failure = failure
      this.restartFailed(running)
      return false
    }
    if (!isMine()) return false
    try {
      this.store.prune(folder, 2)
    } catch (error) {
      if (!this.isDead) world.trace(`${query.id}: old checkpoints stay: ${toStreamError(error).code}`)
    }
    return !this.isDead
  }

  /** A last checkpoint of each query, so that what it has put out is committed. False: try again. */
  async checkpointAll(): Promise<boolean> {
    for (const running of this.queries) if (!(await this.checkpoint(running))) return false
    return true
  }

  /** A worn disk: a bit of state that is on the disk flips while the query runs. */
  flipSpilled(): void {
    const { world, disk, scaling } = this.options
    const { random } = scaling
    const files = disk.files().filter((path) => path.startsWith(`${SPILL_FOLDER}/`) && disk.contentOf(path).length > 0)
    if (this.isDead || files.length === 0) return
    const path = random.pick(files)
    disk.flip(path, random.int(0, disk.contentOf(path).length * 8 - 1))
    this.hasFlipped = true
    world.hit('bit of state on the disk flipped')
    world.trace(`a bit of ${path} flipped`)
  }

  /** Whether the disk may be why. Nobody else removes files or closes handles. */
  private mayFailWith({ code, message }: { code: string; message: string }): boolean {
    if (/ENOENT|EBADF/.test(message)) return false
    return this.options.mayFail() || (code === 'SPILL_DAMAGED' && this.hasFlipped)
  }

  /** A query that failed because the disk did begins anew, after a pause. */
  private restartFailed(running: RunningQuery): void {
    const { failure } = running
    if (!failure || this.isDead) return
    const { world } = this.options
    if (this.options.expectsDamage && failure.code === 'LOG_SEGMENT_DAMAGED') {
      this.told.push(failure.code)
      running.start++
      running.job?.close()
      running.job = undefined
      return
    }
    if (!this.mayFailWith(failure) || failure.code === 'LOG_SEGMENT_DAMAGED')
      world.violation ??= new Violation(`query ${running.pipeline.operator} failed: ${failure.code}: ${failure.message}`)
    if (/wrong checksum/.test(failure.message) && failure.code === 'SPILL_DAMAGED') world.hit('damage told of state on the disk')
    world.hit('query failed and began again')
    world.trace(`query failed: ${failure.code}`)
    const { committer } = running
    running.job?.close()
    running.job = undefined
    running.committer = undefined
    running.failure = undefined
    // Whatever is on its way for the one that failed counts no more.
    const start = ++running.start
    const again = async () => {
      await running.checkpointing
      await committer?.close?.(false)
      if (!this.isDead && start === running.start) this.begin(running)
    }
    world.after(world.random.int(20, 100), () => world.background(again()))
  }

  private step(running: RunningQuery): void {
    const { job } = running
    if (!job) return
    const { world, clock } = this.options
    const goesOn = () => !running.failure && !this.isDead
    job.step(clock(), goesOn, ({ table, partition, from, to }) =>
      world.trace(`${running.query.id} read t${table} ${partition} ${from}..${to}`),
    )
    this.restartFailed(running)
  }
}

/** Some operator's state was divided, as it did not fit into memory. */
const isSpilled = ({ operators }: QueryState): boolean =>
  operators.some(({ parts }) => parts.some(({ name }) => name.startsWith('keyGroups')))
