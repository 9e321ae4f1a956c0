// What a query has put out, read back from where it went: a live table, a topic's committed records, finished files.
import type { FakeDisk } from '../../src/log/fakeDisk.ts'
import type { Consumer } from './consumer.ts'
import type { SinkKind } from './pipelines.ts'

/**
 * @param folder   of its files
 * @param reader   of its topic's committed records
 * @param viewRows of its live table
 */
export function rowsOf(
  sink: SinkKind,
  columns: readonly string[],
  disk: FakeDisk,
  folder: string,
  reader: Consumer | undefined,
  viewRows: () => unknown[][],
): unknown[][] {
  const fromJson = (text: string): unknown[] => {
    const value = JSON.parse(text)
    return columns.map((column) => value[column] ?? null)
  }
  const lines = () =>
    disk
      .files()
      .filter((path) => path.startsWith(`${folder}/`) && !path.startsWith(`${folder}/.`))
      .flatMap((path) => Buffer.from(disk.contentOf(path)).toString().split('\n').filter(Boolean))
  switch (sink) {
    case 'view':
      return viewRows()
    case 'topic':
      return reader!.records.flat().map(({ value }) => fromJson(value!))
    case 'upsert topic': {
      // What is left of it: the newest of each key, unless that takes the row away.
      const newest = new Map(reader!.records.flat().map(({ key, value }) => [key, value]))
      return [...newest.values()].filter((value) => value !== null).map(fromJson)
    }
    case 'json files':
      return lines().map(fromJson)
    case 'csv files':
      return lines().map((line) => line.split(',').map((cell) => cell.replace(/^"(.*)"$/, '$1')))
  }
}

/** A value as records and lines have it: times have no zeros at the end of their fraction. */
export const writtenValue = (value: unknown): unknown =>
  typeof value === 'string' && /:\d\d\.\d+$/.test(value) ? value.replace(/\.?0+$/, '') : value
