// The process under test, as one incarnation between two crashes: log, Kafka broker, front door, queries and live tables, wired as in
// `src/app/platform.ts`, over a disk that fails and a clock that jumps.
//
// Invariants
//   1. After `die` nothing of it reaches anybody: its disk refuses, its sockets are cut, its promises never settle.
//   2. It starts by itself, whatever the crash left; only a disk that fails while it starts stops it, and then the next start is tried.

import { toStreamError } from '../../src/base/index.ts'
import type { Manifest } from '../../src/engine/checkpoints/manifest.ts'
import { restoreOptions } from '../../src/engine/checkpoints/restore.ts'
import { CheckpointStore } from '../../src/engine/checkpoints/store.ts'
import { formatValue } from '../../src/engine/expressions/index.ts'
import { Job, type JobOptions } from '../../src/engine/job.ts'
import type { SourceSpec } from '../../src/engine/protocol.ts'
import { Door } from '../../src/ingest/door.ts'
import { bindProject, type Project, type ProjectQuery } from '../../src/jobs/project.ts'
import { SavedStates } from '../../src/jobs/savedStates.ts'
import { ViewCommitter } from '../../src/jobs/sinkCommitters.ts'
import { Broker } from '../../src/kafka/broker.ts'
import { Connection } from '../../src/kafka/connection.ts'
import { FrameInput } from '../../src/kafka/frameInput.ts'
import { Groups } from '../../src/kafka/groups/coordinator.ts'
import { makeHandlers } from '../../src/kafka/handlers/index.ts'
import { kafkaLimits } from '../../src/kafka/limits.ts'
import { Security } from '../../src/kafka/security/security.ts'
import type { FakeDisk } from '../../src/log/fakeDisk.ts'
import { openTransactions, type Transactions } from '../../src/log/index.ts'
import { LogStore } from '../../src/log/store.ts'
import type { Plan } from '../../src/sql/plan.ts'
import { ViewStore } from '../../src/views/views.ts'
import type { Endpoint } from './clients.ts'
import type { FakeSocket } from './network.ts'
import { type Pipeline, tableSql } from './pipelines.ts'
import { SimLog } from './simLog.ts'
import { Violation, type World } from './world.ts'

export interface ProcessOptions {
  world: World
  disk: FakeDisk
  /** Wall clock of the machine, epoch ms. */
  clock: () => number
  newId: () => string
  pipelines: readonly Pipeline[]
  tables: { partitionCount: number; delayMs: number }[]
  segmentBytes: number
  /** What each query had read at each checkpoint, by query and checkpoint id: it outlives the process. */
  checkpoints: Map<string, Read[]>
  /** Whether a query may fail because the disk does. */
  mayFail: () => boolean
}

/** What a query has read: a run of records of one partition. */
export interface Read {
  table: number
  partition: number
  from: number
  to: number
}

interface RunningQuery {
  index: number
  job: Job | undefined
  committer: ViewCommitter | undefined
  /** The newest checkpoint: what the next one is relative to. */
  base: Manifest | undefined
  pipeline: Pipeline
  query: ProjectQuery
  history: Read[]
  failure: { message: string; code: string } | undefined
}

export const FOLDER = '/data'
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
  private readonly options: ProcessOptions
  private readonly sockets = new Set<FakeSocket>()
  private readonly views = new ViewStore()
  private readonly broker: Broker
  private readonly transactions: Transactions
  private readonly groups: Groups
  private readonly handlers: ReturnType<typeof makeHandlers>
  private readonly door: Door
  private readonly store: CheckpointStore
  private lastCheckpointId = 0

  /** @throws the disk's error, wrapped by whoever met it */
  constructor(options: ProcessOptions) {
    this.options = options
    this.disk = options.disk
    this.store = new CheckpointStore(FOLDER, options.disk)
    const { world, disk, clock, newId, tables, segmentBytes } = options
    const store = LogStore.open({ disk, folder: FOLDER, durability: 'fsync' }, clock())
    try {
      for (const { kind, cutBytes, reason, path } of store.recovery) {
        if (kind === 'damaged') throw new Violation(`after a crash ${path} is damaged: ${reason}`)
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
      const planCommit = (commit: () => void) =>
        world.after(world.random.next() * 4, () => {
          if (!this.isDead) commit()
        })
      this.log = new SimLog({ store, folder: FOLDER, clock, newId, planCommit })
      // Its timer would go by the real clock.
      this.transactions = openTransactions(this.log, { disk, now: clock, checkMs: 2 ** 30 })
      const limits = { ...kafkaLimits, fetchBytes: 16 * 1024 }
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
      this.views.close()
      throw error
    }
  }

  async start(): Promise<void> {
    const { world, pipelines } = this.options
    await this.door.start()
    if (this.isDead) return
    this.lastCheckpointId = this.store.lastId()
    pipelines.forEach((pipeline, i) => {
      const sql = [...this.options.tables.entries()].map(([table, { partitionCount, delayMs }]) => tableSql(table, partitionCount, delayMs))
      const [query] = projectOf(`${sql.join('\n')}\n${pipeline.sql.replace('MATERIALIZED TABLE q ', `MATERIALIZED TABLE q${i} `)}`).queries
      if (query.target.kind !== 'materializedTable') throw new Error('a pipeline makes a materialized table')
      const { name, fields, primaryKey } = query.target.table
      this.views.define({ name, fields, primaryKey })
      const running: RunningQuery = {
        index: i,
        committer: undefined,
        base: undefined,
        job: undefined,
        pipeline,
        query,
        history: [],
        failure: undefined,
      }
      this.queries.push(running)
      this.startQuery(running)
      const turn = () => {
        if (this.isDead) return
        this.step(running)
        world.after(1 + world.random.next() * 20, turn)
      }
      world.after(world.random.next() * 10, turn)
      const checkpoints = async () => {
        if (this.isDead) return
        await this.checkpoint(running)
        world.after(world.random.int(30, 400), checkpoints)
      }
      world.after(world.random.int(30, 400), checkpoints)
    })
    const retention = () => {
      if (this.isDead) return
      this.log.enforceRetention().catch(() => {})
      world.after(400, retention)
    }
    world.after(400, retention)
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

  /** Whether the queries have read all there is. */
  get isCaughtUp(): boolean {
    return (
      this.isReady &&
      this.queries.every(({ job, pipeline }) => {
        const positions = job?.positions() ?? []
        return positions.length > 0 && positions.every(({ offset, endOffset }) => offset === endOffset) && pipeline.tableCount > 0
      })
    )
  }

  rowsOf(index: number): unknown[][] {
    const { query } = this.queries[index]
    return this.views.copy(query.id, [], []).map((row) => row.map((value, i) => formatValue(value, query.plan.fields[i].type)))
  }

  /** A crash: from now on it does nothing. The disk is the caller's to take away. */
  die(): void {
    this.isDead = true
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
    for (const { job } of this.queries) job?.close()
    for (const socket of [...this.sockets]) socket.destroy()
    this.groups.close()
    this.broker.close()
    await this.log.close()
    this.isDead = true
    this.views.close()
    const { openFiles } = this.disk
    if (openFiles.length > 0) throw new Violation(`open after a clean stop: ${openFiles.join(', ')}`)
  }

  private startQuery(running: RunningQuery): void {
    const { query } = running
    const { world, clock } = this.options
    const restored = this.restore(running)
    const changes = (_id: string, batch: Parameters<ViewStore['apply']>[1]) => {
      if (!this.isDead) this.views.apply(query.id, batch, { epoch: 1 })
    }
    running.failure = undefined
    const job = new Job(
      {
        id: 'job',
        queries: [{ id: query.id, name: query.id, plan: query.plan, sink: { kind: 'view', name: query.id } }],
        sources: this.sourcesOf(query.plan),
        timeZone: 'UTC',
      },
      {
        changes,
        records: () => {},
        deadLetters: ([{ error }]) => {
          world.violation ??= new Violation(`a row could not be read: ${error.message}`)
        },
        late: () => {},
        failed: (_id, error) => {
          running.failure ??= error
        },
      },
      clock(),
      restored,
    )
    running.job = job
    world.hit(`start of ${running.pipeline.operator}`)
    this.restartFailed(running)
  }

  /** The newest checkpoint that can be read, with the rows of the live table; else all begins anew. */
  private restore(running: RunningQuery): JobOptions {
    const { world, disk, checkpoints } = this.options
    const { query, pipeline } = running
    const states = new SavedStates(this.store, this.log)
    for (;;) {
      const saved = states.find().get(query.id)
      if (!saved) break
      try {
        const content = states.viewOf(saved)
        const restore = {
          dataFolder: FOLDER,
          folder: saved.folder,
          checkpointId: saved.manifest.id,
          queries: [query.id],
          allowsDropped: [],
          continues: true,
        }
        const options = restoreOptions(restore, disk)
        // Read twice, so that a disk that fails now fails here.
        options.load?.(query.id)
        this.views.restore(query.id, content!)
        running.history = [...checkpoints.get(`${running.index} ${saved.manifest.id}`)!]
        running.base = saved.manifest
        running.committer = new ViewCommitter(this.views, query.id, saved.state.sink.kind === 'view' ? saved.state.sink.segments : [])
        if (running.history.length > 0) world.hit(`restore of ${pipeline.operator}`)
        world.trace(`${query.id} goes on from checkpoint ${saved.manifest.id}, ${running.history.length} reads`)
        return options
      } catch (error) {
        if (this.isDead) break
        if (!this.options.mayFail()) {
          world.violation ??= new Violation(
            `checkpoint ${saved.manifest.id} of ${pipeline.operator} cannot be used: ${(error as Error).message}`,
          )
          break
        }
        world.hit('checkpoint passed over')
        states.markUnusable({ folder: saved.folder, id: saved.manifest.id }, toStreamError(error))
      }
    }
    running.history = []
    running.base = undefined
    running.committer = new ViewCommitter(this.views, query.id)
    if (!this.isDead) this.views.restore(query.id, { rows: [], epoch: 0 })
    return { disk }
  }

  /** What the manager and the thread that writes checkpoints do in the product. */
  private async checkpoint(running: RunningQuery): Promise<void> {
    const { job, committer, query, index } = running
    const { world, clock, checkpoints } = this.options
    if (!job || !committer || running.failure) return
    const id = ++this.lastCheckpointId
    const { queries, updates } = job.checkpoint(id)
    const [state] = queries
    if (!state || running.failure) {
      this.restartFailed(running)
      return
    }
    const cut = await committer.cut(id)
    checkpoints.set(`${index} ${id}`, [...running.history])
    const folder = this.store.folderOf(query.id)
    try {
      const request = {
        folder,
        id,
        job: query.id,
        createdMs: clock(),
        queries: [{ ...state, sink: cut.state }],
        updates: [...updates, ...cut.updates],
      }
      running.base = this.store.write({ ...request, base: running.base })
      job.settle(true)
      await committer.settle(true)
      world.hit('checkpoint')
      world.trace(`${query.id} checkpoint ${id}`)
      this.store.prune(folder, 2)
    } catch (error) {
      if (this.isDead) return
      const { code, message } = toStreamError(error)
      if (!this.options.mayFail()) world.violation ??= new Violation(`checkpoint failed: ${code}: ${message}`)
      world.hit(code)
      world.trace(`${query.id} checkpoint ${id}: ${code}`)
      job.settle(false)
      await committer.settle(false)
      // Nobody knows whether it is there: only what the disk says counts.
      if (code === 'CHECKPOINT_UNCERTAIN') running.failure = { code, message }
      this.restartFailed(running)
    }
  }

  /** A query that failed because the disk did begins anew, after a pause. */
  private restartFailed(running: RunningQuery): void {
    const { failure } = running
    if (!failure || this.isDead) return
    const { world } = this.options
    if (!this.options.mayFail() || failure.code === 'LOG_SEGMENT_DAMAGED')
      world.violation ??= new Violation(`query ${running.pipeline.operator} failed: ${failure.code}: ${failure.message}`)
    world.hit('query failed and began again')
    world.trace(`query failed: ${failure.code}`)
    running.job?.close()
    running.job = undefined
    world.after(world.random.int(20, 100), () => {
      if (this.isDead) return
      try {
        this.startQuery(running)
      } catch (error) {
        running.failure = toStreamError(error)
        this.restartFailed(running)
      }
    })
  }

  private sourcesOf(plan: Plan): SourceSpec[] {
    const names = new Set<string>()
    JSON.stringify(plan, (key, value) => {
      if (key === 'table' && typeof value?.name === 'string') names.add(value.name)
      return typeof value === 'bigint' ? 0 : value
    })
    return [...names]
      .filter((name) => /^t\d$/.test(name))
      .map((name) => ({
        table: name,
        topic: name,
        descriptor: this.log.descriptor(name),
        format: 'json',
        formatOptions: {},
        onError: 'fail',
        isolation: 'read_committed',
        startup: 'earliest-offset',
      }))
  }

  private step(running: RunningQuery): void {
    const { job } = running
    if (!job) return
    const { world, clock } = this.options
    const before = job.positions()
    const turns = world.random.int(1, 3)
    for (let i = 0; i < turns; i++) {
      const had = i === 0 ? before : job.positions()
      job.step(clock())
      if (running.failure || this.isDead) {
        this.restartFailed(running)
        return
      }
      job.positions().forEach(({ topic, partition, offset }, at) => {
        if (offset === had[at].offset) return
        running.history.push({ table: Number(topic.slice(1)), partition, from: had[at].offset, to: offset })
        world.trace(`${running.query.id} read ${topic} ${partition} ${had[at].offset}..${offset}`)
      })
    }
    job.tick(clock())
    this.restartFailed(running)
  }
}
