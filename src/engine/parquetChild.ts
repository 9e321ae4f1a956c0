// The child process that writes Parquet files: the only one that loads DuckDB. It may be killed at any time; its memory is bounded.
import { DuckDBInstance } from '@duckdb/node-api'
import type { FromParquetChild, ToParquetChild } from './parquet.ts'

const text = (value: string): string => `'${value.replaceAll("'", "''")}'`
const database = await DuckDBInstance.create(':memory:', { memory_limit: '256MB', threads: '1' })
const connection = await database.connect()
// TIMESTAMPTZ of a TIMESTAMP: of the instant, whatever zone the machine has.
await connection.run("SET TimeZone = 'UTC'")
let turn = Promise.resolve()

process.on('message', (order: ToParquetChild) => {
  turn = turn.then(() => handle(order))
})
process.on('disconnect', () => process.exit(0))
process.send?.({ id: 0 } satisfies FromParquetChild)

async function handle({ id, from, to, columns }: ToParquetChild): Promise<void> {
  const read = columns.map(({ readAs }, i) => `c${i}: ${text(readAs)}`).join(', ')
  const select = columns.map((column) => column.select).join(', ')
  const rows = `read_json(${text(from)}, format = 'newline_delimited', columns = {${read}}, maximum_object_size = 33554432)`
  let answer: FromParquetChild = { id }
  try {
    await connection.run(`COPY (SELECT ${select} FROM ${rows}) TO ${text(to)} (FORMAT parquet, COMPRESSION zstd)`)
  } catch (error) {
    answer = { id, error: (error as Error).message }
  }
  process.send?.(answer)
}
