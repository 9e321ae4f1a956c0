// Takes rows out of the console: CSV (RFC 4180) and JSON, with every digit.
import type { TablePage } from '../../../src/serve/contract.ts'
import { apiGet, tablePath } from '../api/client.ts'
import { type Cell, decodeRow, kindsOf } from '../api/columns.ts'
import { stringifyExact } from '../api/json.ts'

export type ExportFormat = 'csv' | 'json'

/** An export above this count stops and says so, before the browser runs out of memory. */
export const exportRowCountMax = 500_000

export function toCsv(names: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [names, ...rows].map((row) => row.map(csvField).join(',')).join('\r\n') + '\r\n'
}

/** NULL is an empty field, an empty string is `""`. */
function csvField(value: unknown): string {
  if (value === null || value === undefined) return ''
  const text = typeof value === 'object' ? stringifyExact(value) : String(value)
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

export function toJson(names: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const objects = rows.map((row) => stringifyExact(Object.fromEntries(names.map((name, index) => [name, row[index]]))))
  return `[\n${objects.join(',\n')}\n]\n`
}

export const download = (fileName: string, text: string, mimeType: string): void =>
  downloadBlob(fileName, new Blob([text], { type: mimeType }))

export function downloadBlob(fileName: string, blob: Blob): void {
  const url = URL.createObjectURL(blob)
  const link = document.createElement('a')
  link.href = url
  link.download = fileName
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

export function downloadRows(name: string, format: ExportFormat, names: readonly string[], rows: readonly (readonly Cell[])[]): void {
  if (format === 'csv') download(`${name}.csv`, toCsv(names, rows), 'text/csv;charset=utf-8')
  else download(`${name}.json`, toJson(names, rows), 'application/json')
}

/**
 * Reads a whole table, page by page, in the given order.
 *
 * @param filters  what the server filters by
 * @param keep     of those, only rows that pass are returned
 * @returns        isCut: there were more than `exportRowCountMax` rows
 * @throws ApiFailure
 */
export async function readWholeTable(
  name: string,
  order: string | undefined,
  filters: readonly (readonly [parameter: string, value: string])[],
  keep: (cells: Cell[]) => boolean,
): Promise<{ names: string[]; rows: Cell[][]; isCut: boolean }> {
  const rows: Cell[][] = []
  let cursor: string | null = null
  for (;;) {
    const query = new URLSearchParams({ limit: '10000', numbers: 'string' })
    if (order) query.set('order', order)
    for (const [parameter, value] of filters) query.append(parameter, value)
    if (cursor) query.set('cursor', cursor)
    const page: TablePage = await apiGet<TablePage>(`${tablePath(name)}?${query}`)
    const kinds = kindsOf(page.columns)
    for (const row of page.rows) {
      const cells = decodeRow(row, kinds)
      if (keep(cells)) rows.push(cells)
    }
    cursor = page.next
    const isCut = cursor !== null && rows.length >= exportRowCountMax
    if (cursor === null || isCut) return { names: page.columns.map((column) => column.name), rows, isCut }
  }
}
