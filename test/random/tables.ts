// Random tables: columns of all types, and rows with NULLs, duplicates, ties, times out of order and, where a case may have them, late rows.
import type { Choices } from './choices.ts'
import type { Column, Kind } from './expressions.ts'

interface ColumnType {
  name: string
  type: string
  kind: Kind
  values: readonly string[]
}

const texts = ['"a"', '"b"', '"xyz"', '""', '"ab "', '"é😀"']
const columnTypes: readonly ColumnType[] = [
  { name: 'v', type: 'INT', kind: 'int', values: ['1', '2', '3', '-1', '0', '7', '2147483647'] },
  { name: 'k', type: 'STRING', kind: 'text', values: texts.slice(0, 3) },
  { name: 's', type: 'STRING', kind: 'text', values: texts },
  { name: 'b', type: 'BIGINT', kind: 'int', values: ['1', '2', '5', '-7', '9007199254740993'] },
  { name: 'd', type: 'DOUBLE', kind: 'approx', values: ['0.5', '1.5', '-2.25', '100.0', '3.0'] },
  { name: 'n', type: 'DECIMAL(6, 2)', kind: 'decimal', values: ['1.50', '2.25', '-3.10', '10.00', '9999.99'] },
  { name: 'f', type: 'BOOLEAN', kind: 'bool', values: ['true', 'false'] },
  { name: 'ti', type: 'TINYINT', kind: 'int', values: ['1', '2', '127', '-128'] },
  { name: 'si', type: 'SMALLINT', kind: 'int', values: ['1', '3', '-5', '32767'] },
  { name: 'fl', type: 'FLOAT', kind: 'approx', values: ['0.5', '-1.25', '8.0'] },
  { name: 'big', type: 'DECIMAL(20, 4)', kind: 'decimal', values: ['1.5000', '-0.0001', '1234567890123456.7891'] },
  { name: 'c', type: 'CHAR(3)', kind: 'text', values: ['"abc"', '"a  "', '"xyz"'] },
  { name: 'vc', type: 'VARCHAR(5)', kind: 'text', values: ['"a"', '"abcde"', '""'] },
  { name: 'bs', type: 'BYTES', kind: 'bytes', values: ['"AQI="', '""', '"/w=="'] },
  { name: 'dt', type: 'DATE', kind: 'date', values: ['"2026-01-01"', '"2024-02-29"', '"1999-12-31"'] },
  { name: 'tm', type: 'TIME', kind: 'time', values: ['"10:20:30"', '"00:00:00"', '"23:59:59"'] },
  { name: 'tp', type: 'TIMESTAMP(3)', kind: 'timestamp', values: ['"2026-01-01 00:00:03.000"', '"2025-12-31 23:59:59.999"'] },
  { name: 'tq', type: 'TIMESTAMP(6)', kind: 'timestamp', values: ['"2026-01-01 00:00:03.000001"', '"2026-03-31 12:00:00.5"'] },
  { name: 'lz', type: 'TIMESTAMP_LTZ(3)', kind: 'ltz', values: ['"2026-01-01 00:00:03.000Z"', '"2025-07-01 12:00:00.000Z"'] },
  { name: 'xs', type: 'ARRAY<INT>', kind: 'ints', values: ['[1,2]', '[]', '[3,null,1]', '[2,2]'] },
  { name: 'ss', type: 'ARRAY<STRING>', kind: 'texts', values: ['["a","b"]', '[]', '["x",null]'] },
  { name: 'm', type: 'MAP<STRING, INT>', kind: 'map', values: ['{"a":1}', '{}', '{"a":2,"b":null}', '{"c":3,"a":0}'] },
  { name: 'r', type: 'ROW<a INT, b STRING>', kind: 'row', values: ['{"a":1,"b":"x"}', '{"a":2}', '{}', '{"b":"a"}'] },
]

export interface Table {
  name: string
  columns: Column[]
  ddl: string
  input: string
  hasTime: boolean
}

export interface TableShape {
  name: string
  /** Rows may come after the watermark that is past them: only where a case reads one table, once. */
  mayBeLate: boolean
  /** `k` is its primary key, so that it has versions. */
  isVersioned?: boolean
}

export function randomTable(choices: Choices, { name, mayBeLate, isVersioned = false }: TableShape): Table {
  const types = [...columnTypes.slice(0, isVersioned ? 2 : 1)]
  const others = columnTypes.filter((one) => !types.includes(one))
  choices.several('column', 1, 5, () => {
    const one = choices.pick(others.filter((other) => !types.includes(other)))
    types.push(one)
  })
  const hasTime = isVersioned || choices.chance(0.8)
  const disorderSeconds = choices.chance(0.4) ? choices.between(1, 5) : 0
  const delaySeconds = mayBeLate ? choices.between(0, 4) : disorderSeconds + 1
  let seconds = 0
  let id = 0
  const rows = choices.several(
    'row',
    3,
    14,
    () => {
      seconds += choices.pick([1, 0, 0.5, 2, 4, 0.001, 9])
      const atSeconds = Math.max(
        0,
        seconds - (disorderSeconds > 0 && choices.chance(0.4) ? choices.between(0, disorderSeconds * 4) / 4 : 0),
      )
      const ts = new Date(Date.UTC(2026, 0, 1) + Math.round(atSeconds * 1000)).toISOString().replace('T', ' ').replace('Z', '')
      const fields = [`"id":${id++}`, `"ts":"${ts}"`]
      for (const { name: column, values } of types)
        if ((isVersioned && column === 'k') || !choices.chance(0.13)) fields.push(`"${column}":${choices.pick(values)}`)
      return `{${fields.join(',')}}`
    },
    0.85,
  )
  const notNull = (column: string) => (isVersioned && column === 'k' ? ' NOT NULL' : '')
  const definitions = [
    'id INT',
    ...types.map(({ name: column, type }) => `${column} ${type}${notNull(column)}`),
    'ts TIMESTAMP(3)',
    ...(isVersioned ? ['PRIMARY KEY (k) NOT ENFORCED'] : []),
    ...(hasTime ? [`WATERMARK FOR ts AS ts - INTERVAL '${delaySeconds}' SECOND`] : []),
  ]
  return {
    name,
    columns: [
      { name: 'id', kind: 'int' },
      ...types.map(({ name: column, kind }) => ({ name: column, kind })),
      { name: 'ts', kind: 'timestamp', isTime: hasTime },
    ],
    ddl: `CREATE TABLE ${name} (${definitions.join(', ')});`,
    input: `--- input ${name}\n${rows.join('\n')}`,
    hasTime,
  }
}
