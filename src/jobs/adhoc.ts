// SQL typed by a person: one statement over the project's names. It changes nothing.
import { baseErrors, reviveError } from '../base/index.ts'
import { type Batch, changeKindTexts, type Field, isRetraction, rowAt } from '../data/index.ts'
import { bindStatement, type Plan, parseStatement } from '../sql/index.ts'
import { jobErrors } from './errors.ts'
import type { JobManager } from './manager.ts'
import { replaceMaterialized } from './materialized.ts'

export type AdhocStatement = { kind: 'query'; plan: Plan; fields: Field[] } | { kind: 'text'; columns: string[]; rows: string[][] }

/**
 * @param tableRows  the rows of a materialized table now
 * @throws StreamError of the SQL layer with a position; ADHOC_READ_ONLY
 */
export function prepareAdhoc(manager: JobManager, sql: string, tableRows: (table: string) => unknown[][]): AdhocStatement {
  const bound = bindStatement(parseStatement(sql), sql, manager.catalog)
  if (bound.type === 'query') {
    const plan = replaceMaterialized(bound.query, (table, fields) => ({
      node: 'values',
      rows: tableRows(table),
      fields,
      changelog: 'append',
    }))
    return { kind: 'query', plan, fields: plan.fields }
  }
  if (bound.type === 'text') return { kind: 'text', columns: bound.columns, rows: bound.rows }
  throw jobErrors('ADHOC_READ_ONLY', {})
}

/**
 * The result of a query over what is in the log now, its changelog applied.
 *
 * @param rowsMax  more rows than this end the query with ADHOC_TOO_MANY_ROWS
 */
export function runBounded(manager: JobManager, plan: Plan, rowsMax: number, signal: AbortSignal): Promise<unknown[][]> {
  return new Promise((resolve, reject) => {
    const rows = new Map<string, { row: unknown[]; count: number }>()
    const stop = manager.runAdhoc(plan, {
      bounded: true,
      onChanges: (batch) => {
        applyChanges(rows, batch)
        if (rows.size <= rowsMax) return
        stop()
        reject(jobErrors('ADHOC_TOO_MANY_ROWS', { rowsMax }))
      },
      onEnd: (error) => {
        if (error) reject(reviveError(error, 400))
        else resolve([...rows.values()].flatMap(({ row, count }) => Array.from({ length: count }, () => row)))
      },
    })
    signal.addEventListener('abort', () => {
      stop()
      reject(baseErrors('INTERNAL', { message: 'the client has gone' }))
    })
  })
}

function applyChanges(rows: Map<string, { row: unknown[]; count: number }>, batch: Batch): void {
  for (let i = 0; i < batch.rowCount; i++) {
    const row = rowAt(batch, i)
    const key = JSON.stringify(row, (_key, value) => (typeof value === 'bigint' ? `${value}n` : value instanceof Map ? [...value] : value))
    const entry = rows.get(key) ?? { row, count: 0 }
    entry.count += isRetraction(batch.kinds?.[i] ?? 0) ? -1 : 1
    if (entry.count === 0) rows.delete(key)
    else rows.set(key, entry)
  }
}

export const changesOf = (batch: Batch): { op: string; row: unknown[] }[] =>
  Array.from({ length: batch.rowCount }, (_, i) => ({ op: changeKindTexts[(batch.kinds?.[i] ?? 0) as 0], row: rowAt(batch, i) }))
