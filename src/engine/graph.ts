// A plan made runnable: operators wired depth first, with event time carried between them.
//
// One push:  source batch --> calc --> watermark --> window --> sink      (rows, depth first)
//                                        `--> advance(W) --> window fires --> sink, then W goes on
//
// Invariants
//   1. Rows come before the watermark that they cause. A node's watermark is the minimum over its inputs and never falls.
//   2. What a node emits while its own watermark is W carries W as the watermark that its rows see, unless it says more exactly.
//   3. Everything is synchronous: when `push` returns, all consequences of the batch have reached the sinks.
//   4. `snapshot` between two pushes, restored into a graph of the same plan, continues as if nothing had happened.
//   5. A batch lives until the call that handed it on returns: its memory is used again, and nothing waits in a queue but copies at exchanges.
//   6. As one of several subtasks a graph is cut into stages by its exchanges; a node's inputs are of one stage, so that a round goes through
//      them together. `deliver` lets a round go through one stage.
//   7. Nodes are found in a snapshot by their signature: what they compute, over what. Names of columns and the rest of the plan do not count,
//      so a query that was changed above an operator finds that operator's state.
//
// Longer than other files because how a graph is built decides how it is pushed, restored and shown; its nodes are in graphNodes.ts.
import { createHash } from 'node:crypto'
import { type Batch, BatchMemory, batchOf, type Field } from '../data/index.ts'
import {
  explainExpr,
  explainNode,
  exprsOf,
  inputsOf,
  isCall,
  isStable,
  type Plan,
  someExpr,
  stableText,
  type TableDef,
} from '../sql/index.ts'
import { type Lateness, type LateSample, latenessOf, plainRow, type SampleRow } from './diagnosis.ts'
import { engineErrors } from './errors.ts'
import {
  BEFORE_ROWS,
  type Distribution,
  deliverInOrder,
  distributionOf,
  ExchangeOperator,
  type ExchangeOptions,
  exchangesOf,
  type RoundNote,
  type Rounds,
  sinkExchange,
} from './exchange/index.ts'
import { CalcOperator, ExchangeNode, Node, type NodeSnapshot, WatermarkNode } from './graphNodes.ts'
import type { JoinSideStatus, Operator, OperatorContext, OperatorStatus } from './operator.ts'
import { MeetingUnionOperator } from './operators/arrivalOrder.ts'
import { ordinals } from './operators/emission.ts'
import {
  buildOperator,
  hasLocalPhase,
  isMergeableAggregate,
  LocalAggregateOperator,
  localFields,
  PassOperator,
  secondPhase,
} from './operators/index.ts'
import { beat } from './progress.ts'
import { countsOrder, keepOrder } from './spill/order.ts'
import type { Rescaling } from './spill/share.ts'
import { SpillingOperator, type SpillOptions } from './spill/spillingOperator.ts'
import { readOperator, type StateReading, type StateRequest, type StateTableInfo, tableInfo } from './state/readState.ts'
import { WatermarkOperator, type WatermarkStatus } from './watermark.ts'

/** What the graph asks of its surroundings. Batches given to `late` and `rowFailed` have the fields given beside them. */
export interface GraphHooks {
  count(counter: string, n: number): void
  /** `lateness` says for each of `rows` what it missed; `tables` are those that the rows may come from. */
  late(batch: Batch, rows: number[], fields: Field[], lateness: Lateness[], tables: string[]): void
  rowFailed(batch: Batch, row: number, error: Error, fields: Field[]): void
}

/** Where a scan's rows enter: push batches whose columns are `fields`, in that order. */
export interface GraphSource {
  table: TableDef
  /** Ordinals into the table's columns. */
  columns: number[]
  /** Fields of ROW columns that are read instead of the rows; see the plan's scan. */
  paths?: number[][]
  fields: Field[]
}

/** One node of a running plan, as `why` and a live EXPLAIN show it. Counts are since the start, in rows. */
export interface NodeStatus {
  id: number
  node: string
  /** The node as EXPLAIN prints it. */
  label: string
  /** Of a calc that drops rows: its condition. */
  predicate?: string
  /** Of a scan: the table's name. */
  table?: string
  columns: string[]
  inputs: number[]
  rowsIn: number
  rowsOut: number
  lateRows: number
  failedRows: number
  /** Time spent in it since the start, without the nodes behind it, in ms of this machine. */
  busyMs: number
  watermarkMs: number
  /** Nothing in front of it holds its watermark back. */
  isIdle: boolean
  /** Its windows go by the clock of the machine, not by the events' time. */
  isProcessingTime: boolean
  operator?: OperatorStatus
  partitions?: WatermarkStatus[]
  /** Recent rows that it put out. */
  samples: SampleRow[]
  lateSamples: LateSample[]
  /** Of a join: left and right. */
  sides?: JoinSideStatus[]
  /** What it remembers, as tables that can be read (state/readState.ts). */
  tables?: StateTableInfo[]
}

export interface GraphOptions {
  timeZone: string
  hooks: GraphHooks
  /** Receives the rows of the plan's root. */
  sink: (batch: Batch) => void
  /** Operators may move state to the disk. */
  spill?: SpillOptions
  /** Where this graph is one of several that run a query together; its exchanges are numbered from `firstEdge`. */
  rounds?: Rounds
  firstEdge?: number
  /** Columns of the result by which its target keeps one row each: their order counts there. Absent if the target keeps all. */
  sinkKey?: readonly number[]
}

/** More exchanges than any query has. */
export const EDGES_MAX = 1024

/** Rows of VALUES, which may be a whole table, go on in batches of this size. */
const VALUES_BATCH_ROWS = 4096

/** Equal for nodes over the same inputs that give the same rows, however their columns are called; undefined for what is not shared. */
function sharingKey(plan: Plan, inputIds: readonly number[]): string | undefined {
  if (!sharedNodes.has(plan.node) || exprsOf(plan).some((expr) => !isStable(expr))) return undefined
  const { input: _input, fields, span: _span, ...own } = plan as Plan & { input?: Plan }
  const types = fields.map(({ type, timeAttribute }) => [type, timeAttribute])
  return stableText([inputIds, own.node === 'scan' ? { ...own, table: own.table.name } : own, types])
}
/**
 * What a plan computes, over what, as a short text: equal for plans whose state is good for each other, and whose rows are the same.
 * Names of columns do not count.
 */
export function planSignature(plan: Plan): string {
  const leftOut = ['fields', 'span', 'input', 'inputs', 'left', 'right']
  // In which order it merges or gives out: its state is the same, also where it was made before it had an order.
  leftOut.push('groupWindow', 'everyChange')
  // These began to forget later than the others: what they had remembered until then is good for them.
  if (forgetful.has(plan.node) || (plan.node === 'deduplicate' && plan.keep === 'first')) leftOut.push('ttlMs')
  const own = Object.entries(plan).filter(([key, value]) => !leftOut.includes(key) && value !== undefined)
  const types = plan.fields.map(({ type, timeAttribute }) => [type, timeAttribute])
  const parts = own.map(([key, value]) => [key, key === 'table' ? sourceIdentity(value as TableDef) : value])
  const text = stableText([inputsOf(plan).map(planSignature), parts, types])
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
const forgetful: ReadonlySet<Plan['node']> = new Set(['limit', 'normalize', 'over', 'setOperation', 'temporalJoin', 'topN'])
/** What a source's rows are. Defaults are left out: state of earlier versions is found under names that have none of them. */
const sourceIdentity = ({ name, options }: TableDef): unknown[] => [
  name,
  options.topic ?? name,
  options.connector ?? 'kafka',
  options.format ?? (options['value.format'] === 'json' ? undefined : options['value.format']),
  ...keyIdentity(options).map((option) => options[option] ?? null),
]
/** Options that say which columns are in a record's key, where they are read from there. */
const keyIdentity = (options: TableDef['options']): string[] =>
  options['value.fields-include'] === 'EXCEPT_KEY' ? ['value.fields-include', 'key.format', 'key.fields', 'key.fields-prefix'] : []
/** Options of a source with another value of which its rows are others: state that was made from them is of no use. */
export const identityOptions = (options: TableDef['options']): ReadonlySet<string> =>
  new Set(['connector', 'topic', 'format', 'value.format', 'value.fields-include', ...keyIdentity(options)])

const EXCHANGE = 'exchange-'

/** What had come out where an exchange is now: what those behind it have seen. */
function reachedBehind(exchange: Node, saved: ReadonlyMap<string, readonly NodeSnapshot[]>): number | undefined {
  for (const { node, input } of exchange.outputs) {
    const seen = saved.get(node.signature)?.map(({ inputWatermarks }) => inputWatermarks[input])
    const reached = node instanceof ExchangeNode ? reachedBehind(node, saved) : seen && Math.min(...seen)
    if (reached !== undefined) return reached
  }
  return undefined
}
/** Nodes to which the order of changes of one key counts, wherever they come from. */
const ordered: ReadonlySet<Plan['node']> = new Set(['deduplicate', 'temporalJoin', 'topN'])
const sharedNodes: ReadonlySet<Plan['node']> = new Set(['scan', 'calc', 'watermark', 'windowTvf', 'windowAggregate', 'groupAggregate'])

export class Graph {
  readonly sources: GraphSource[] = []
  private readonly nodes: Node[] = []
  /** By `sharingKey`. */
  private readonly shared = new Map<string, Node>()
  private readonly scanNodes: Node[] = []
  /** Those whose rows take several ways that meet again, where the order of rows or their event time counts. */
  private readonly meetingTables = new Set<string>()
  /** Of operators whose state can be shared out. */
  private readonly builders = new Map<Node, () => Operator>()
  /** By edge, the number that messages between subtasks carry. */
  private readonly exchanges: ExchangeOperator[] = []
  private readonly plan: Plan
  private readonly options: GraphOptions
  /** Of batches on their way. */
  private readonly memory = new BatchMemory()
  /** Partition of the batch being pushed: watermarks are kept for each. */
  private partition = 0
  /** Something looks at the watermarks that rows have seen, and is over what does not tell them. */
  private hasBlind = false
  /** As one of several subtasks it works in the order in which one would (exchange/roundOrder.ts). */
  private isOrdered = false

  constructor(plan: Plan, options: GraphOptions) {
    this.plan = plan
    this.options = options
    this.buildAll()
    if (options.rounds === undefined || !(this.hasBlind || this.nodes.some(isOrderedTwice))) return
    this.isOrdered = true
    if (this.nodes.some(isLocalPhase)) this.buildAll()
    for (const exchange of this.exchanges) exchange.isOrdered = true
    for (const { operator } of this.nodes) if (operator instanceof SpillingOperator) operator.keepMoments(options.rounds)
  }

  private buildAll(): void {
    const { plan, options } = this
    this.close()
    for (const list of [this.nodes, this.sources, this.scanNodes, this.exchanges]) list.length = 0
    for (const known of [this.shared, this.builders]) known.clear()
    let root = this.build(plan)
    if (options.rounds !== undefined && options.sinkKey !== undefined) {
      const distribution = sinkExchange(options.sinkKey, root.distribution)
      if (distribution !== undefined) root = this.exchange(root, distribution, plan.changelog === 'retract' ? options.sinkKey : undefined)
    }
    const sink = new Node(this.nodes.length, plan, [root], this.memory)
    sink.operator = { process: (batch) => options.sink(batch), advance: () => {} }
  }

  /** Equal parts of a plan, over the same rows, run once: what they give goes to all that read it. */
  private build(plan: Plan): Node {
    const inputs = this.exchanged(
      plan,
      inputsOf(plan).map((input) => this.build(input)),
    )
    const key = sharingKey(
      plan,
      inputs.map(({ id }) => id),
    )
    const known = key === undefined ? undefined : this.shared.get(key)
    if (known !== undefined) return known
    const node = this.buildNode(plan, inputs)
    const have = inputs.map(({ distribution }) => distribution)
    // In one subtask there are no exchanges; but where they would be says how state divides.
    const wanted = this.options.rounds === undefined ? exchangesOf(plan, have) : []
    const brought = have.map((one, i) => wanted[i] ?? one)
    node.inputDistribution = brought[0] ?? { kind: 'any' }
    node.distribution = distributionOf(plan, brought, this.options.rounds?.isReplicated ?? (() => false))
    if (key !== undefined) this.shared.set(key, node)
    node.origin = originOf(node)
    inputs.forEach((input, i) => {
      if (countsOrder(plan, input.plan, wanted[i] !== undefined || input instanceof ExchangeNode)) keepOrder(input)
    })
    return node
  }

  /** The inputs of a node, with an exchange behind each whose rows are not where the node needs them, and all of one stage. */
  private exchanged(plan: Plan, inputs: Node[]): Node[] {
    if (this.options.rounds === undefined) return inputs
    const wanted = exchangesOf(
      plan,
      inputs.map(({ distribution }) => distribution),
    )
    const moved = inputs.map((input, i) => {
      const distribution = wanted[i]
      if (distribution === undefined) return input
      if (hasLocalPhase(plan) && !this.isOrdered) return this.localPhase(plan, input, distribution)
      const isOrdered = ordered.has(plan.node) && input.plan.changelog === 'retract'
      return this.exchange(input, distribution, isOrdered ? (input.plan.upsertKey ?? []) : undefined)
    })
    const stage = Math.max(...moved.map((input) => input.stage))
    return moved.map((input) => this.comeTo(stage, input))
  }

  /** Stage by stage: what has not gone through one is in no later one's rounds. */
  private comeTo(stage: number, input: Node): Node {
    return input.stage === stage ? input : this.comeTo(stage, this.exchange(input, { kind: 'forward' }, undefined))
  }

  /**
   * What comes from `input` in all subtasks.
   *
   * @param meaning  where rows are then, in terms of the plan
   */
  private exchange(
    input: Node,
    distribution: ExchangeOptions['distribution'],
    consolidatesBy: readonly number[] | undefined,
    meaning = distribution.kind === 'forward' ? input.distribution : distribution,
  ): Node {
    const stage = input.stage + 1
    const key = stableText(['exchange', input.id, distribution, consolidatesBy ?? [], stage])
    const known = this.shared.get(key)
    if (known !== undefined) return known
    const { rounds, firstEdge = 0 } = this.options
    const node = new ExchangeNode(this.nodes.length, input.plan, [input], this.memory)
    node.signature = `${EXCHANGE}${createHash('sha256')
      .update(stableText([input.signature, distribution, consolidatesBy ?? [], stage]))
      .digest('hex')
      .slice(0, 16)}`
    node.stage = stage
    this.nodes.push(node)
    const isFirst = input.stage === 0
    const options = { edge: firstEdge + this.exchanges.length, stage, isFirst, fields: input.plan.fields, distribution, consolidatesBy }
    node.operator = new ExchangeOperator(options, rounds as Rounds, this.memory, {
      emit: (batch) => node.emit(batch),
      forward: (watermarkMs) => node.forward(watermarkMs),
      setIdle: (isIdle) => node.setIdle(isIdle),
    })
    this.exchanges.push(node.operator)
    node.distribution = meaning
    this.shared.set(key, node)
    return node
  }

  /** The first of two phases of an aggregation, and the exchange behind it. */
  private localPhase(plan: Plan & { node: 'groupAggregate' }, input: Node, distribution: Distribution): Node {
    const key = stableText(['local', input.id, plan.keys, plan.aggregates])
    let local = this.shared.get(key)
    if (local === undefined) {
      const fields = localFields(plan)
      const node = new Node(this.nodes.length, { ...plan, fields }, [input], this.memory)
      node.signature = `local-${node.id}`
      this.nodes.push(node)
      node.operator = new LocalAggregateOperator(plan, this.contextOf(node, [plan.input.fields], fields))
      this.shared.set(key, node)
      local = node
    }
    const rows: Distribution = plan.keys.length === 0 ? distribution : { kind: 'hash', columns: plan.keys.map((_, k) => k) }
    return this.exchange(local, rows, undefined, distribution)
  }

  private buildNode(plan: Plan, inputs: Node[]): Node {
    const node = new (plan.node === 'watermark' ? WatermarkNode : Node)(this.nodes.length, plan, inputs, this.memory)
    const signature = planSignature(plan)
    const equalCount = this.nodes.filter((other) => other.signature.startsWith(signature)).length
    node.signature = equalCount === 0 ? signature : `${signature}-${equalCount + 1}`
    this.nodes.push(node)
    const own = isLocalPhase(inputs[0]?.inputs[0]) && hasLocalPhase(plan) ? secondPhase(plan) : plan
    const context = this.contextOf(
      node,
      inputsOf(own).map((input) => input.fields),
      plan.fields,
    )
    switch (plan.node) {
      case 'scan':
        node.operator = new PassOperator(context)
        node.inputWatermarks.push(-Infinity)
        this.scanNodes.push(node)
        this.sources.push({ table: plan.table, columns: plan.columns, paths: plan.paths, fields: plan.fields })
        break
      case 'values':
        node.operator = new PassOperator(context)
        break
      case 'calc':
        node.operator = new CalcOperator(plan, context, this.options.timeZone, this.memory)
        this.cutBatches(plan)
        break
      case 'union':
        node.operator = this.meetingAt(inputs) ? new MeetingUnionOperator(context) : new PassOperator(context)
        if (node.operator instanceof PassOperator || inputs.some(({ origin }) => origin !== inputs[0].origin)) this.cutBatches(plan)
        break
      case 'watermark':
        node.operator = new WatermarkOperator(plan, context, () => this.partition, this.memory)
        break
      default:
        node.operator = this.buildOperator(node, plan, context, own !== plan)
        this.cutBatches(plan)
    }
    if (inputs.length === 0 && plan.node !== 'scan') node.inputWatermarks.push(-Infinity)
    return node
  }

  /** Whether rows of one table come to a union on several ways, and can be put into one order. */
  private meetingAt(inputs: readonly Node[]): boolean {
    const met = repeated(inputs.flatMap(({ origin }) => origin ?? []))
    for (const table of met) this.meetingTables.add(table)
    return met.length > 0
  }

  /**
   * Where rows of one table meet in other ways, they come there in the same event time: its batches are cut at late rows. A window over what
   * a join, a GROUP BY, a Top-N or a LIMIT makes of rows, which does not tell what watermark each saw, has them cut wherever the watermark grows;
   * so has whatever else looks at event time behind a Top-N or a LIMIT.
   */
  private cutBatches(plan: Plan): void {
    const isAlone = this.options.rounds === undefined
    if (isAlone && meetsByTime.has(plan.node))
      this.cutAt(repeated(inputsOf(plan).flatMap((input) => [...new Set(tablesOf(input))])), 'late rows')
    const isBlind =
      plan.node === 'windowAggregate'
        ? !plan.attached && (plan.input.fields[plan.timeColumn].timeAttribute === undefined || hidesWatermarks(plan.input))
        : looksAtTime(plan) && inputsOf(plan).some(hidesWatermarks)
    if (isBlind) this.hasBlind = true
    if (isBlind && isAlone) this.cutAt(tablesOf(plan), 'watermarks')
  }

  private cutAt(tables: readonly string[], at: 'late rows' | 'watermarks'): void {
    for (const node of this.nodes) {
      if (!(node instanceof WatermarkNode) || node.cuts === 'watermarks' || !tablesOf(node.plan).some((table) => tables.includes(table)))
        continue
      node.cuts = at
      for (const table of tablesOf(node.plan)) this.meetingTables.add(table)
    }
  }

  /** @param merges  it is the second phase of an aggregation */
  private buildOperator(node: Node, plan: Plan, context: OperatorContext, merges: boolean): Operator {
    const { spill, timeZone } = this.options
    const build = (of: OperatorContext, isSecond: boolean) =>
      buildOperator(isSecond && isMergeableAggregate(plan) ? secondPhase(plan) : plan, of, timeZone, isSecond)
    this.builders.set(node, () => build(context, merges))
    const forward = (watermarkMs: number) => node.forward(watermarkMs)
    return spill === undefined ? build(context, merges) : SpillingOperator.around(plan, context, { ...spill, build, merges, forward })
  }

  /** Nothing comes any more: what it holds is given back to the budget. */
  close(): void {
    for (const { operator } of this.nodes) operator.close?.()
  }

  /** @param fields  of each input */
  private contextOf(node: Node, fields: Field[][], outputFields: Field[]): OperatorContext {
    const { hooks } = this.options
    const { plan } = node
    const tables = tablesOf(plan)
    return {
      emit: (batch) => node.emit(batch),
      memory: this.memory,
      count: (counter, n = 1) => hooks.count(counter, n),
      late: (batch, rows, shape = fields[0]) => {
        const lateness = latenessOf(plan, batch, rows, fields.indexOf(shape), node.watermarkMs)
        node.late.add(batch, rows, shape, lateness)
        hooks.late(batch, rows, shape, lateness, tables)
      },
      rowFailed: (batch, row, error, shape = fields[0]) => {
        node.failedRows++
        hooks.rowFailed(batch, row, error, shape)
      },
      inputFields: fields,
      outputFields,
    }
  }

  /** Emits what needs no input (VALUES), in the first subtask. Not called after a restore. */
  start(processingTimeMs: number): void {
    if ((this.options.rounds?.subtask ?? 0) > 0) return
    for (const { plan, operator, inputs } of this.nodes) {
      // An exchange has the plan of its input.
      if (plan.node !== 'values' || inputs.length > 0) continue
      for (let at = 0; at < plan.rows.length; at += VALUES_BATCH_ROWS)
        operator.process(batchOf(plan.fields, plan.rows.slice(at, at + VALUES_BATCH_ROWS), { processingTimeMs }), 0)
    }
  }

  /** Rows of one partition of a source, in order. Sources of one table get the same rows one after the other, in order of their number. */
  push(source: number, partition: number, batch: Batch): void {
    this.partition = partition
    const { rounds } = this.options
    if (rounds !== undefined) rounds.moment = rounds.firstMoment + batch.rowCount - 1
    const { name } = this.sources[source].table
    const meets = this.meetingTables.has(name)
    if (meets) this.wake(name)
    this.scanNodes[source].deliver(meets || this.isOrdered ? { ...batch, arrivals: ordinals(batch.rowCount) } : batch, 0)
    if (meets && this.sources.findLastIndex(({ table }) => table.name === name) === source) this.meet(batch.rowCount)
  }

  /** A table whose partitions were all idle has rows again: event time waits for them on every way from now on, not only behind the first scan. */
  private wake(table: string): void {
    for (const node of this.nodes)
      if (node instanceof WatermarkNode && node.isIdle && tablesOf(node.plan).includes(table)) node.setIdle(false)
  }

  /** A batch has gone all its ways. */
  private meet(rowCount: number): void {
    const holding = this.nodes.filter((node): node is WatermarkNode => node instanceof WatermarkNode && node.held !== undefined)
    const cuts = [...new Set(holding.flatMap(({ held }) => held?.cuts ?? []))].sort((a, b) => a - b)
    if (holding.length > 0)
      for (const [i, from] of [0, ...cuts].entries()) for (const node of holding) node.giveHeld(from, cuts[i] ?? rowCount)
    for (const node of holding) node.endHeld()
    for (const { operator } of this.nodes) if (operator instanceof MeetingUnionOperator) operator.flush()
  }

  /** A round goes through one stage: what has come for its exchanges goes on. */
  deliver(stage: number, { isTick, nowMs }: RoundNote): void {
    const rounds = this.options.rounds as Rounds
    rounds.moment = BEFORE_ROWS
    if (isTick) this.tick(nowMs, stage)
    const exchanges = this.exchanges.filter((exchange) => exchange.stage === stage)
    const isLast = this.exchanges.every((exchange) => exchange.stage <= stage)
    if (!this.isOrdered) for (const exchange of exchanges) exchange.deliver()
    else {
      deliverInOrder(exchanges, rounds, { oneByOne: !isLast, stepByStep: !isLast || this.hasBlind })
      for (const { operator, stage: own } of this.nodes) if (own === stage && operator instanceof SpillingOperator) operator.endRound()
    }
  }

  /** Which partitions a source has: one that has sent nothing yet holds the watermark back. */
  setPartitions(source: number, partitions: number[], nowMs: number): void {
    for (const node of this.watermarksAbove(this.scanNodes[source])) {
      node.operator.setPartitions(partitions, nowMs)
      node.follow()
    }
  }

  /** An explicit watermark for one partition, as tests set it. */
  watermark(source: number, partition: number, watermarkMs: number): void {
    this.partition = partition
    for (const node of this.watermarksAbove(this.scanNodes[source])) {
      node.operator.advancePartition(partition, watermarkMs)
      node.follow()
    }
  }

  /** Marks a partition idle: it holds no watermark back until its next row. */
  markIdle(source: number, partition: number): void {
    for (const node of this.watermarksAbove(this.scanNodes[source])) {
      node.operator.markIdle(partition)
      node.follow()
    }
  }

  /** Whether partitions of a source can become idle by themselves. */
  hasIdleTimeout(source: number): boolean {
    return this.watermarksAbove(this.scanNodes[source]).some(({ plan }) => plan.idleTimeoutMs)
  }

  /** These partitions have records that are still to be read: none of them is idle, however long it was without. */
  expectRows(source: number, partitions: number[], nowMs: number): void {
    for (const node of this.watermarksAbove(this.scanNodes[source])) {
      node.operator.expectRows(partitions, nowMs)
      node.follow()
    }
  }

  /** The end of bounded input, of one source or of all: closes windows that wait for no other. */
  finish(source?: number): void {
    const ended = source === undefined ? this.nodes.filter(({ inputs }) => inputs.length === 0) : [this.scanNodes[source]]
    for (const node of ended) node.advanceInput(Infinity, 0)
  }

  /** Processing time has passed: for all nodes, or those of one stage. */
  tick(nowMs: number, stage?: number): void {
    for (const node of this.nodes) {
      if (stage !== undefined && node.stage !== stage) continue
      node.operator.tick?.(nowMs)
      if (node instanceof WatermarkNode) node.follow()
    }
  }

  /** Names the whole plan: equal for queries that give the same rows. */
  get signature(): string {
    return planSignature(this.plan)
  }

  snapshot(): NodeSnapshot[] {
    return this.nodes.map(({ signature, plan, watermarkMs, forwardedMs, inputWatermarks, rowsIn, rowsOut, operator }) => {
      beat()
      return {
        signature,
        node: plan.node,
        label: explainNode(plan),
        watermarkMs,
        forwardedMs,
        inputWatermarks,
        rowsIn,
        rowsOut,
        hasState: operator.snapshot !== undefined,
        state: operator.snapshot?.(),
      }
    })
  }

  stateRowsOf(signature: string): number {
    return this.nodes.find((node) => node.signature === signature)?.operator.describe?.().stateRows ?? 0
  }

  /**
   * Called once, before anything else.
   *
   * @param parts      what the job had that took the checkpoint: of this subtask, or of all if there were another number of them (`rescaling`)
   * @returns          labels of what was saved and has no place here, and of operators that begin without their state
   */
  restore(parts: readonly (readonly NodeSnapshot[])[], rescaling?: Rescaling): { dropped: string[]; missing: string[] } {
    // All subtasks have the same nodes.
    const saved = new Map(parts[0].map(({ signature }, i) => [signature, parts.map((part) => part[i])]))
    const missing: string[] = []
    for (const node of this.nodes) {
      const found = saved.get(node.signature)
      if (node instanceof ExchangeNode && (rescaling || !found)) node.resume(reachedBehind(node, saved) ?? node.inputs[0].forwardedMs)
      else if (found && rescaling) node.restoreShares(found, rescaling, this.builders.get(node))
      else if (found) node.restore(found[0])
      else {
        if (node.operator.snapshot) missing.push(explainNode(node.plan))
        // It comes to an event time that its inputs have reached already.
        node.inputs.forEach(({ forwardedMs }, input) => {
          node.advanceInput(forwardedMs, input)
        })
      }
      saved.delete(node.signature)
    }
    for (const node of this.nodes) if (node instanceof WatermarkNode || node instanceof ExchangeNode) node.setIdle(node.operator.isIdle)
    const lost = [...saved].filter(([signature, [{ hasState }]]) => hasState && !signature.startsWith(EXCHANGE))
    return { dropped: lost.map(([, [{ label }]]) => label), missing }
  }

  /** After a restore: the time that passed while nothing ran makes no partition idle. */
  resumeClock(nowMs: number): void {
    for (const { operator } of this.nodes) if (operator instanceof WatermarkOperator) operator.resumeClock(nowMs)
  }

  /** May walk all state of joins: for somebody who asks, not for every second. */
  status(): NodeStatus[] {
    return this.nodes.map(({ id, plan, inputs, operator, rowsIn, rowsOut, failedRows, busyMs, forwardedMs, isIdle, late, samples }) => ({
      id,
      node: kindOf(plan, operator),
      label: labelOf(plan, operator),
      predicate: plan.node === 'calc' && plan.predicate ? explainExpr(plan.predicate, plan.input.fields) : undefined,
      table: plan.node === 'scan' ? plan.table.name : undefined,
      columns: plan.fields.map(({ name }) => name),
      inputs: inputs.map((input) => input.id),
      rowsIn,
      rowsOut,
      lateRows: late.count,
      failedRows,
      busyMs,
      watermarkMs: forwardedMs,
      isIdle,
      isProcessingTime: 'window' in plan && plan.window.timeAttribute === 'processing',
      operator: operator.describe?.(),
      partitions: operator instanceof WatermarkOperator ? operator.status() : undefined,
      samples: samples.status(plan.fields),
      lateSamples: late.status(),
      sides: operator
        .joinSides?.()
        .map((side, i) => ({ ...side, samples: side.samples.map((row) => plainRow(row, inputs[i].plan.fields)) })),
      tables: operator.stateTables?.().map(tableInfo),
    }))
  }

  /**
   * Reads what one of its operators remembers, in steps of bounded work, between which the graph may go on.
   *
   * @throws StreamError STATE_OPERATOR_UNKNOWN, STATE_KEY_COLUMNS, STATE_KEY_VALUE
   */
  readState(request: StateRequest, query: string): Generator<void, StateReading> {
    const stateful = this.nodes.filter(({ operator }) => operator.stateTables !== undefined && operator.stateTables().length > 0)
    const named = stateful.filter(
      ({ id, plan, operator }) => String(id) === request.operator || kindOf(plan, operator) === request.operator,
    )
    const [node] = named
    if (named.length !== 1) {
      const known = stateful.map(({ id, plan, operator }) => `${id} (${kindOf(plan, operator)})`)
      throw engineErrors('STATE_OPERATOR_UNKNOWN', { operator: request.operator, query, known })
    }
    return readOperator(node.operator, request)
  }

  /** What its operators hold, in memory. */
  get stateBytes(): number {
    return this.nodes.reduce((sum, { operator }) => sum + (operator.describe?.()?.stateBytes ?? 0), 0)
  }

  /** The watermark of the root: what the query has completed. */
  get watermarkMs(): number {
    return this.nodes.at(-1)?.forwardedMs ?? -Infinity
  }

  get isIdle(): boolean {
    return this.nodes.at(-1)?.isIdle ?? false
  }

  private isAbove(node: Node, scan: Node): boolean {
    return node === scan || (node.inputs.length === 1 && this.isAbove(node.inputs[0], scan))
  }

  private watermarksAbove(scan: Node): WatermarkNode[] {
    return this.nodes.filter((node): node is WatermarkNode => node instanceof WatermarkNode && this.isAbove(node, scan))
  }
}

/** Of nodes whose rows each have come of one row of their input. */
function originOf({ plan, inputs }: Node): string | undefined {
  if (plan.node === 'scan') return plan.table.name
  if (!onward.has(plan.node) || ('window' in plan && plan.window.kind === 'SESSION')) return undefined
  const [origin, ...others] = inputs.map((input) => input.origin)
  return others.every((other) => other === origin) ? origin : undefined
}
/** A Top-N does not tell what watermark the rows saw that have changed it. */
function hidesWatermarks(plan: Plan): boolean {
  if (plan.node === 'topN') return plan.windowed === undefined
  return plan.node === 'limit' || (passesRows.has(plan.node) && inputsOf(plan).some(hidesWatermarks))
}
/** Which rows it takes for late, or what it gives out when, depends on the watermarks that they saw. */
function looksAtTime(plan: Plan): boolean {
  if (plan.node === 'calc') return exprsOf(plan).some((expr) => someExpr(expr, (part) => isCall(part, 'CURRENT_WATERMARK')))
  if (plan.node === 'over') return plan.frame.timeOrdered
  if (plan.node === 'topN') return plan.windowed !== undefined
  return timed.has(plan.node)
}
const timed: ReadonlySet<Plan['node']> = new Set(['deduplicate', 'intervalJoin', 'match', 'sort', 'temporalJoin', 'windowJoin'])
const passesRows: ReadonlySet<Plan['node']> = new Set(['calc', 'windowTvf', 'correlate', 'expand', 'union'])
const onward: ReadonlySet<Plan['node']> = new Set(['calc', 'watermark', 'windowTvf', 'expand', 'correlate', 'union'])

const repeated = <T>(values: readonly T[]): T[] => values.filter((value, i) => values.indexOf(value) < i)
/** Nodes of several inputs that look at event time, or behind which others may. */
const meetsByTime: ReadonlySet<Plan['node']> = new Set(['intervalJoin', 'windowJoin', 'temporalJoin', 'union'])

/** Rows have come through two exchanges on their way to where their order counts, or the watermark that each sees. */
const isOrderedTwice = (node: Node): boolean =>
  node instanceof ExchangeNode && node.keepsOrder && node.inputs.some((input) => hasOrderedExchange(input))
const hasOrderedExchange = (node: Node): boolean =>
  node.keepsOrder && (node instanceof ExchangeNode || node.inputs.some(hasOrderedExchange))

const isLocalPhase = (node: Node | undefined): boolean => node?.operator instanceof LocalAggregateOperator

/** What EXPLAIN calls a node. */
function kindOf(plan: Plan, operator: Operator): string {
  if (operator instanceof ExchangeOperator) return 'exchange'
  return operator instanceof LocalAggregateOperator ? 'localGroupAggregate' : plan.node
}
function labelOf(plan: Plan, operator: Operator): string {
  if (operator instanceof ExchangeOperator) return exchangeLabel(operator)
  return `${operator instanceof LocalAggregateOperator ? 'Local' : ''}${explainNode(plan)}`
}

/** As Flink prints it. */
const exchangeLabel = ({ distribution, fields }: ExchangeOperator): string =>
  `Exchange(distribution=[${distribution.kind === 'hash' ? `hash[${distribution.columns.map((column) => fields[column].name).join(', ')}]` : distribution.kind}])`

/** The tables that a node's rows may come from. */
const tablesOf = (plan: Plan): string[] => (plan.node === 'scan' ? [plan.table.name] : inputsOf(plan).flatMap(tablesOf))
