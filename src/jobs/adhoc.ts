// SQL typed by a person: one statement over the project's names. It changes nothing.
import { baseErrors, reviveError, type StreamError } from '../base/index.ts'
import { type Batch, changeKindTexts, type Field, isRetraction, rowAt } from '../data/index.ts'
import { explainText, rowOrder } from '../engine/index.ts'
import type { Log } from '../log/index.ts'
import { bindStatement, type Plan, parseExpression, parseStatement, type SortKey, settingNotices } from '../sql/index.ts'
import { jobErrors } from './errors.ts'
import type { JobManager } from './manager.ts'
import { replaceMaterialized } from './materialized.ts'
import { type Slice, type SliceOptions, slicesOf } from './slices.ts'

/** No answer has more rows. */
const RESULT_ROWS_MAX = 100_000
/** A larger materialized table is not copied to a worker. */
const TABLE_ROWS_MAX = 200_000

export type AdhocStatement = { kind: 'query'; plan: Plan; fields: Field[] } | { kind: 'text'; columns: string[]; rows: string[][] }

/**
 * @param tableRows  the rows of a materialized table now
 * @throws StreamError of the SQL layer with a position; ADHOC_READ_ONLY
 */
export function prepareAdhoc(manager: JobManager, sql: string, tableRows: (table: string) => unknown[][]): AdhocStatement {
  const statement = parseStatement(sql)
  // What has an end can be sorted as a whole: to the planner, that is a LIMIT which no answer reaches.
  if (statement.type === 'query' && statement.query.orderBy.length > 0)
    statement.query.limit ??= parseExpression(String(RESULT_ROWS_MAX + 1))
  const bound = bindStatement(statement, sql, manager.catalog)
  switch (bound.type) {
    case 'query': {
      const plan = replaceMaterialized(bound.query, (table, fields) => {
        const rows = tableRows(table)
        if (rows.length > TABLE_ROWS_MAX)
          throw jobErrors('ADHOC_TABLE_TOO_LARGE', { table, rowCount: rows.length, rowsMax: TABLE_ROWS_MAX })
        return { node: 'values', rows, fields, changelog: 'append' }
      })
      return { kind: 'query', plan, fields: plan.fields }
    }
    case 'text':
      return { kind: 'text', columns: bound.columns, rows: bound.rows }
    case 'explain': {
      const settings = settingNotices(manager.catalog.settings).map((notice) => `\n\n${notice}`)
      const rows = bound.plans.map((explained) => {
        const { target, query } = explained
        const { reason, subtasks: count, isByHand } = manager.explainedParallelism(query, target)
        const byHand = isByHand ? `\n\nIt runs in ${count === 1 ? 'one subtask' : `${count} subtasks`}, as it was rescaled by hand.` : ''
        const subtasks = reason === undefined ? byHand : `\n\nIt runs in one subtask: ${reason}.`
        return [
          `${target === undefined ? '' : `INSERT INTO ${target}: ${manager.guaranteeOf(target)}\n\n`}${explainText(explained)}${subtasks}${settings.join('')}`,
        ]
      })
      return { kind: 'text', columns: ['plan'], rows }
    }
    default:
      throw jobErrors('ADHOC_READ_ONLY', {})
  }
}

/**
 * The result of a query over what is in the log now, its changelog applied, in the order that it asks for.
 *
 * @param options  more than `rowsMax` rows end the query with ADHOC_TOO_MANY_ROWS; of a topic in `slices` only that part is read
 */
export async function runBounded(
  manager: JobManager,
  plan: Plan,
  { rowsMax, signal, slices }: { rowsMax: number; signal: AbortSignal; slices?: ReadonlyMap<string, Slice> },
): Promise<unknown[][]> {
  const { plan: ordered, orderBy } = withSortColumns(plan)
  const rows = await new Promise<unknown[][]>((resolve, reject) => {
    const result = new Map<string, { row: unknown[]; count: number }>()
    const { stop } = manager.runAdhoc(ordered, {
      bounded: true,
      ...(slices && { slices, startup: 'earliest-offset' as const }),
      onChanges: (batch) => {
        applyChanges(result, batch, ordered)
        if (result.size <= rowsMax) return
        stop()
        reject(jobErrors('ADHOC_TOO_MANY_ROWS', { rowsMax }))
      },
      onEnd: (error) => {
        if (error) reject(reviveError(error, 400))
        else resolve([...result.values()].flatMap(({ row, count }) => Array.from({ length: count }, () => row)))
      },
    })
    signal.addEventListener('abort', () => {
      stop()
      reject(baseErrors('INTERNAL', { message: 'the client has gone' }))
    })
  })
  if (rows.length > rowsMax) throw jobErrors('ADHOC_TOO_MANY_ROWS', { rowsMax })
  if (orderBy.length > 0) rows.sort(rowOrder(orderBy))
  return ordered === plan ? rows : rows.map((row) => row.slice(0, plan.fields.length))
}

/**
 * The parts of a statement's topics that are to be read.
 *
 * @throws StreamError ADHOC_SLICE_NO_TOPIC, ADHOC_SLICE_PARTITION
 */
export function adhocSlices(
  manager: JobManager,
  log: Pick<Log, 'topic' | 'readMessages'>,
  plan: Plan,
  options: SliceOptions,
): Promise<Map<string, Slice>> {
  const topics = manager.topicsOf([plan])
  if (topics.length === 0) throw jobErrors('ADHOC_SLICE_NO_TOPIC', {})
  const { partition = 0 } = options
  for (const topic of topics) {
    const partitionCount = log.topic(topic)?.partitions.length ?? 0
    if (partition >= partitionCount) throw jobErrors('ADHOC_SLICE_PARTITION', { topic, partition, partitionCount })
  }
  return slicesOf(log, topics, options)
}

/**
 * A query that goes on for as long as somebody looks: its changelog, as rows arrive; from the beginning of a slice, if one is said.
 *
 * @throws StreamError as `prepareAdhoc` and `adhocSlices`; ADHOC_READ_ONLY for what is no query
 */
export async function startPreview(
  manager: JobManager,
  log: Pick<Log, 'topic' | 'readMessages'>,
  sql: string,
  options: { from: 'earliest' | 'latest'; slice?: SliceOptions; onChanges(batch: Batch): void; onEnd(error?: StreamError): void },
  tableRows: (table: string) => unknown[][],
) {
  const statement = prepareAdhoc(manager, sql, tableRows)
  if (statement.kind !== 'query') throw jobErrors('ADHOC_READ_ONLY', {})
  const slices = options.slice && (await adhocSlices(manager, log, statement.plan, { ...options.slice, isOpen: true }))
  const { changelog, upsertKey } = statement.plan
  const { stop } = manager.runAdhoc(statement.plan, {
    bounded: false,
    startup: options.from === 'latest' ? 'latest-offset' : 'earliest-offset',
    slices,
    onChanges: options.onChanges,
    onEnd: (error) => options.onEnd(error && reviveError(error, 400)),
  })
  return { fields: statement.fields, changelog, key: upsertKey, stop }
}

/** A changelog has no order: where the query asks for one, its sort columns come along, behind the others. */
function withSortColumns(plan: Plan): { plan: Plan; orderBy: SortKey[] } {
  if (plan.node === 'limit' || plan.node === 'sort') return { plan, orderBy: plan.orderBy }
  if (plan.node !== 'calc' || (plan.input.node !== 'limit' && plan.input.node !== 'sort')) return { plan, orderBy: [] }
  const { orderBy, fields } = plan.input
  const added = orderBy.map(({ column }, i) => ({ name: `sort ${i}`, type: fields[column].type }))
  const projections = orderBy.map(({ column }) => ({ kind: 'column' as const, index: column, type: fields[column].type }))
  return {
    plan: { ...plan, fields: [...plan.fields, ...added], projections: [...plan.projections, ...projections] },
    orderBy: orderBy.map((key, i) => ({ ...key, column: plan.fields.length + i })),
  }
}

export function applyChanges(rows: Map<string, { row: unknown[]; count: number }>, batch: Batch, { changelog, upsertKey }: Plan): void {
  const isUpsert = changelog === 'upsert' && upsertKey !== undefined
  for (let i = 0; i < batch.rowCount; i++) {
    const row = rowAt(batch, i)
    const key = rowText(isUpsert ? upsertKey.map((column) => row[column]) : row)
    const isGone = isRetraction(batch.kinds?.[i] ?? 0)
    const count = isUpsert ? Number(!isGone) : (rows.get(key)?.count ?? 0) + (isGone ? -1 : 1)
    if (count === 0) rows.delete(key)
    else rows.set(key, { row, count })
  }
}

/** Equal for equal rows. */
export const rowText = (row: readonly unknown[]): string =>
  JSON.stringify(row, (_key, value) => (typeof value === 'bigint' ? `${value}n` : value instanceof Map ? [...value] : value))

export const changesOf = (batch: Batch): { op: string; row: unknown[] }[] =>
  Array.from({ length: batch.rowCount }, (_, i) => ({ op: changeKindTexts[(batch.kinds?.[i] ?? 0) as 0], row: rowAt(batch, i) }))
