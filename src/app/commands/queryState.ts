// millrace queries state: what a running query remembers, by operator and by key.
import type { OperatorState, QueryState, StateEntries, StateOperator } from '../../serve/contract.ts'
import { getJson, type Target } from '../client.ts'
import { byteText, countText, durationText, plainText, tableText, timeText } from '../output.ts'

export interface StateFlags {
  key: string[]
  limit?: number
  json?: boolean
}

export async function printState(
  target: Target,
  query: string,
  operator: string | undefined,
  { key, limit, json }: StateFlags,
): Promise<void> {
  const path = `/v1/queries/${encodeURIComponent(query)}/state`
  if (operator === undefined) {
    const overview = await getJson<QueryState>(target, path)
    // A key of the only operator that has one.
    if (key.length === 0 || overview.operators.length !== 1) {
      console.log(json ? JSON.stringify(overview) : overviewText(overview, key.length > 0))
      return
    }
    operator = String(overview.operators[0].id)
  }
  const look = new URLSearchParams(key.map((one): [string, string] => ['key', one]))
  if (limit !== undefined) look.set('limit', String(limit))
  const state = await getJson<OperatorState>(target, `${path}/${encodeURIComponent(operator)}${look.size > 0 ? `?${look}` : ''}`)
  console.log(json ? JSON.stringify(state) : stateText(state, key.length > 0))
}

function overviewText({ query, stateBytes, spilledBytes, budget, operators }: QueryState, hasKey: boolean): string {
  if (operators.length === 0) return `${query} remembers nothing: it looks at one row at a time`
  const used = `${byteText(budget.usedBytes)} of the budget of ${byteText(budget.limitBytes)} are in use by all queries and tables`
  const rows = operators.map(({ id, node, stateRows, stateBytes, spilledBytes, tables, label }) => [
    id,
    node,
    tables.map(({ name }) => name).join(', '),
    tables[0].key.map(({ name }) => name).join(', ') || 'none',
    stateRows,
    byteText(stateBytes),
    byteText(spilledBytes),
    [...new Set(tables.map(({ kept: { by, ttlMs } }) => keptWords[by] + (ttlMs === undefined ? '' : ` ${durationText(ttlMs)}`)))].join(
      ', ',
    ),
    label,
  ])
  return [
    `${query} holds ${byteText(stateBytes)} in memory${spilledBytes > 0 ? `, ${byteText(spilledBytes)} on the disk` : ''}; ${used}`,
    '',
    tableText(['id', 'operator', 'holds', 'key', 'rows', 'memory', 'disk', 'kept by', 'what it does'], rows),
    '',
    `Next: millrace queries state ${query} ${operators[0].id}${hasKey ? " --key …: say which operator's key it is" : ''}`,
  ].join('\n')
}

const keptWords = { ttl: 'time to live', eventTime: 'event time', clock: 'the clock', query: 'the query' }

function stateText({ query, atMs, operator, isComplete, tables }: OperatorState, hasKey: boolean): string {
  const { id, node, label, stateRows, stateBytes, spilledBytes, waitingRows, watermarkMs } = operator
  const parts = [
    `${query}, operator ${id} ${node}: ${countText(stateRows, 'row')}, ${byteText(stateBytes)} in memory${spilledBytes > 0 ? `, ${byteText(spilledBytes)} on the disk` : ''}; watermark ${timeText(watermarkMs)}`,
    plainText(label),
    ...(waitingRows > 0 ? [`${countText(waitingRows, 'row')} of the last second wait for state on the disk: they are not in it yet.`] : []),
    ...tables.map((table) => tableOf(table, atMs, operator, hasKey)),
    ...(isComplete ? [] : ['Nothing indexes this key: only a part of the rows was looked through.']),
  ]
  return parts.join('\n\n')
}

function tableOf(
  { name, kept, key, value, keyCount, isAbout, entries }: StateEntries,
  atMs: number,
  operator: StateOperator,
  hasKey: boolean,
): string {
  const heads = [...key, ...value].map((column) => column.name)
  const rows = entries.flatMap(({ key, rows, rowCount }) => [
    ...rows.map(({ values, untilMs }) => [...key, ...values, untilText(untilMs, kept.by, atMs)]),
    ...(rowCount === rows.length
      ? []
      : [[...key, `… ${rowCount === undefined ? 'and very many more' : `of ${rowCount} rows`}`, ...value.map(() => '')]]),
  ])
  const hasUntil = entries.some(({ rows }) => rows.some(({ untilMs }) => untilMs !== undefined))
  const isCut = !hasKey && keyCount !== entries.length
  const total =
    keyCount === undefined
      ? `the operator holds ${countText(operator.stateRows, 'row')}`
      : `${isAbout ? 'about ' : ''}${countText(keyCount, 'entry', 'entries')}`
  const shown =
    entries.length > 0
      ? tableText(hasUntil ? [...heads, 'until'] : heads, hasUntil ? rows : rows.map((row) => row.slice(0, heads.length)))
      : hasKey
        ? 'nothing of this key'
        : operator.rowsIn === 0
          ? 'nothing: no row has come to it yet'
          : 'nothing now'
  return `${name}${isCut ? `: the first ${entries.length}, ${total}` : ''}\n${plainText(kept.text)}\n\n${shown}`
}

/** When it is forgotten; by event time that is a watermark, by the clock how long from now. */
function untilText(untilMs: number | undefined, by: StateEntries['kept']['by'], atMs: number): string {
  if (untilMs === undefined) return ''
  if (by === 'eventTime') return `watermark ${timeText(untilMs)}`
  return untilMs <= atMs ? 'over: gone when its key is touched' : `in ${durationText(untilMs - atMs)}`
}
