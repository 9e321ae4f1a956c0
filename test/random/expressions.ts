// Random expressions over typed columns. What fails for some rows only (a cast of bad text, a division by zero) is left out: which row is
// evaluated first is nobody's promise. Doubles stay exact in binary, so that sums do not depend on the order of their rows.
import type { Choices } from './choices.ts'

/** What an expression may be used for; `inexact` and `multiset` are only shown. */
export type Kind =
  | 'int'
  | 'approx'
  | 'decimal'
  | 'text'
  | 'bool'
  | 'date'
  | 'time'
  | 'timestamp'
  | 'ltz'
  | 'bytes'
  | 'ints'
  | 'texts'
  | 'map'
  | 'row'
  | 'inexact'
  | 'multiset'

export interface Column {
  /** As it is written, with the alias of its relation where it needs one. */
  name: string
  kind: Kind
  /** A time attribute: windows may be cut by it. */
  isTime?: boolean
}

export const numeric: readonly Kind[] = ['int', 'decimal', 'approx']
export const sortable: readonly Kind[] = ['int', 'text', 'decimal', 'approx', 'date', 'timestamp', 'bool', 'time', 'ltz']
const computable: readonly Kind[] = [...sortable, 'bytes', 'ints', 'texts', 'map', 'row']

const literals: Partial<Record<Kind, readonly string[]>> = {
  int: ['1', '2', '0', '-3', '7', 'CAST(NULL AS INT)', 'CAST(2 AS BIGINT)'],
  approx: ['2.5e0', '0e0', '-0.25e0', 'CAST(NULL AS DOUBLE)'],
  decimal: ['1.50', '0.1', '-2.25', '100.0', 'CAST(NULL AS DECIMAL(5, 2))'],
  text: ["'a'", "'b'", "''", "'xyz'", "'é😀'", 'CAST(NULL AS STRING)'],
  bool: ['TRUE', 'FALSE', 'CAST(NULL AS BOOLEAN)'],
  date: ["DATE '2026-01-02'", "DATE '1999-12-31'"],
  time: ["TIME '10:20:30'", "TIME '00:00:00'"],
  timestamp: ["TIMESTAMP '2026-01-01 00:00:05'", "TIMESTAMP '1999-12-31 23:59:59.999'"],
  ltz: ["CAST(TIMESTAMP '2026-01-01 00:00:05' AS TIMESTAMP_LTZ(3))"],
  bytes: ["x'0a0b'", "CAST('ab' AS BYTES)"],
  ints: ['ARRAY[1, 2]', 'ARRAY[3, CAST(NULL AS INT)]'],
  texts: ["ARRAY['a', 'b']", "ARRAY['x', CAST(NULL AS STRING)]"],
  map: ["MAP['a', 1]", "MAP['a', 1, 'b', CAST(NULL AS INT)]"],
  row: ["CAST(ROW(1, 'a') AS ROW<a INT, b STRING>)"],
}

export class Expressions {
  private readonly choices: Choices
  private readonly columns: readonly Column[]

  constructor(choices: Choices, columns: readonly Column[]) {
    this.choices = choices
    this.columns = columns
  }

  of(kind: Kind, depth: number): string {
    return this.choices.span(`expression ${kind}`, () => {
      const { choices } = this
      const columns = this.columns.filter((column) => column.kind === kind)
      const leaf = () => (columns.length > 0 && !choices.chance(0.15) ? choices.pick(columns).name : choices.pick(literals[kind]!))
      if (depth <= 0 || !choices.chance(0.75)) return leaf()
      return this.anyKind(kind, depth - 1)
    })
  }

  /** A kind for which there is a column, most of the time. */
  kind(among: readonly Kind[] = computable): Kind {
    const there = [...new Set(this.columns.map(({ kind }) => kind))].filter((kind) => among.includes(kind))
    return there.length > 0 && !this.choices.chance(0.2) ? this.choices.pick(there) : this.choices.pick(among)
  }

  condition(depth = 2): string {
    return this.of('bool', depth)
  }

  /** Of every kind: conditional functions; and what makes this kind. */
  private anyKind(kind: Kind, depth: number): string {
    const { choices } = this
    const same = () => this.of(kind, depth)
    const conditional = [
      () => `COALESCE(${same()}, ${same()})`,
      () => `CASE WHEN ${this.of('bool', depth)} THEN ${same()} ELSE ${same()} END`,
      () => `CASE WHEN ${this.of('bool', depth)} THEN ${same()} END`,
      ...(sortable.includes(kind) ? [() => `IF(${this.of('bool', depth)}, ${same()}, ${same()})`] : []),
      ...(sortable.includes(kind) ? [() => `NULLIF(${same()}, ${same()})`] : []),
    ]
    const own = this.own[kind]!(depth)
    return choices.pick(choices.chance(0.25) ? conditional : own)()
  }

  private comparison(depth: number): string {
    const { choices } = this
    const kind = this.kind(sortable)
    const other = numeric.includes(kind) && choices.chance(0.3) ? choices.pick(numeric) : kind
    const operator = choices.pick(['=', '<>', '<', '<=', '>', '>=', 'IS DISTINCT FROM', 'IS NOT DISTINCT FROM'])
    return `(${this.of(kind, depth)} ${operator} ${this.of(other, depth)})`
  }

  private readonly own: Partial<Record<Kind, (depth: number) => (() => string)[]>> = {
    int: (d) => [
      () => `(${this.of('int', d)} + ${this.of('int', d)})`,
      () => `(${this.of('int', d)} - ${this.of('int', d)})`,
      () => `(${this.of('int', d)} * ${this.of('int', d)})`,
      () => `(${this.of('int', d)} / ${this.choices.pick(['2', '3', '-7'])})`,
      () => `MOD(${this.of('int', d)}, ${this.choices.pick(['2', '3', '-2'])})`,
      () => `ABS(${this.of('int', d)})`,
      () => `(-${this.of('int', d)})`,
      () => `CAST(${this.of('int', d)} AS ${this.choices.pick(['BIGINT', 'INT', 'SMALLINT', 'TINYINT'])})`,
      () => `CAST(${this.of('approx', d)} AS INT)`,
      () => `CAST(${this.of('decimal', d)} AS INT)`,
      () => `CAST(${this.of('bool', d)} AS INT)`,
      () => `TRY_CAST(${this.of('text', d)} AS INT)`,
      () => `CHAR_LENGTH(${this.of('text', d)})`,
      () => `POSITION('a' IN ${this.of('text', d)})`,
      () => `EXTRACT(${this.choices.pick(['YEAR', 'MONTH', 'DAY', 'HOUR', 'MINUTE', 'SECOND'])} FROM ${this.of('timestamp', d)})`,
      () => `EXTRACT(${this.choices.pick(['YEAR', 'DAY', 'DOW', 'QUARTER'])} FROM ${this.of('date', d)})`,
      () =>
        `TIMESTAMPDIFF(${this.choices.pick(['SECOND', 'MINUTE', 'DAY', 'MONTH'])}, ${this.of('timestamp', d)}, ${this.of('timestamp', d)})`,
      () => `CARDINALITY(${this.of(this.choices.pick(['ints', 'map'] as const), d)})`,
      () => this.elementOf('ints', '[1]', '0'),
      () => this.elementOf('map', "['a']", '1'),
      () => this.elementOf('row', '.a', '2'),
      () => `GREATEST(${this.of('int', d)}, ${this.of('int', d)})`,
    ],
    approx: (d) => [
      () => `(${this.of('approx', d)} + ${this.of('approx', d)})`,
      () => `(${this.of('approx', d)} - ${this.of('approx', d)})`,
      () => `(${this.of('approx', d)} * ${this.choices.pick(['2', '0.5e0', '-1'])})`,
      () => `(${this.of('approx', d)} / 2)`,
      () => `CAST(${this.of('int', d)} AS ${this.choices.pick(['DOUBLE', 'FLOAT'])})`,
      () => `ABS(${this.of('approx', d)})`,
      () => `FLOOR(${this.of('approx', d)})`,
      () => `CEIL(${this.of('approx', d)})`,
      () => `ROUND(${this.of('approx', d)}, 0)`,
    ],
    decimal: (d) => [
      () => `(${this.of('decimal', d)} + ${this.of('decimal', d)})`,
      () => `(${this.of('decimal', d)} - ${this.of('int', d)})`,
      () => `(${this.of('decimal', d)} * ${this.of('decimal', d)})`,
      () => `(${this.of('decimal', d)} / ${this.choices.pick(['2', '3.00', '-0.7'])})`,
      () => `CAST(${this.of('int', d)} AS DECIMAL(10, 2))`,
      () => `CAST(${this.of('decimal', d)} AS DECIMAL(${this.choices.pick(['5, 1', '12, 4', '4, 0'])}))`,
      () => `CAST(${this.of('approx', d)} AS DECIMAL(8, 2))`,
      () => `TRY_CAST(${this.of('text', d)} AS DECIMAL(6, 2))`,
      () => `ROUND(${this.of('decimal', d)}, 1)`,
      () => `FLOOR(${this.of('decimal', d)})`,
      () => `CEIL(${this.of('decimal', d)})`,
      () => `ABS(${this.of('decimal', d)})`,
    ],
    text: (d) => [
      () => `(${this.of('text', d)} || ${this.of('text', d)})`,
      () => `CONCAT(${this.of('text', d)}, '-', ${this.of('text', d)})`,
      () => `CONCAT_WS('/', ${this.of('text', d)}, ${this.of('text', d)})`,
      () => `UPPER(${this.column('text', d)})`,
      () => `LOWER(${this.of('text', d)})`,
      () => `SUBSTRING(${this.of('text', d)} FROM ${this.choices.pick(['1', '2', '-1'])} FOR 2)`,
      () => `TRIM(${this.of('text', d)})`,
      () => `REPLACE(${this.of('text', d)}, 'a', 'zz')`,
      () => `LPAD(${this.of('text', d)}, 4, '*')`,
      () => `REVERSE(${this.of('text', d)})`,
      () => `LEFT(${this.of('text', d)}, 1)`,
      () => `REGEXP_EXTRACT(${this.of('text', d)}, '([a-y]+)', 1)`,
      () => `CAST(${this.of(this.kind(['int', 'decimal', 'bool', 'date', 'timestamp', 'time', 'ltz', 'approx']), d)} AS STRING)`,
      () => `CAST(${this.of('text', d)} AS ${this.choices.pick(['VARCHAR(2)', 'CHAR(4)', 'VARCHAR(20)'])})`,
      () => `CAST(${this.of(this.kind(['ints', 'texts', 'map', 'row']), d)} AS STRING)`,
      () => `DATE_FORMAT(${this.of('timestamp', d)}, 'yyyy-MM-dd HH:mm:ss')`,
      () => this.elementOf('texts', '[1]', "'a'"),
      () => this.elementOf('row', '.b', "'b'"),
      () => `SPLIT_INDEX(${this.of('text', d)}, 'b', 0)`,
    ],
    bool: (d) => [
      () => this.comparison(d),
      () => this.comparison(d),
      () => `(${this.of(this.kind(), d)} IS ${this.choices.pick(['NULL', 'NOT NULL'])})`,
      () => `(${this.of('bool', d)} AND ${this.of('bool', d)})`,
      () => `(${this.of('bool', d)} OR ${this.of('bool', d)})`,
      () => `(NOT ${this.of('bool', d)})`,
      () => `(${this.of('bool', d)} IS ${this.choices.pick(['TRUE', 'FALSE', 'UNKNOWN', 'NOT TRUE'])})`,
      () => `(${this.of('int', d)} ${this.choices.pick(['IN', 'NOT IN'])} (1, 2, 3))`,
      () => `(${this.of('text', d)} ${this.choices.pick(['IN', 'NOT IN'])} ('a', 'b', 'xyz'))`,
      () => `(${this.of('int', d)} ${this.choices.pick(['', 'NOT '])}BETWEEN ${this.of('int', d)} AND ${this.of('int', d)})`,
      () => `(${this.of('text', d)} ${this.choices.pick(['', 'NOT '])}LIKE ${this.choices.pick(["'%a%'", "'_'", "'x%'"])})`,
      () => `ARRAY_CONTAINS(${this.of('ints', d)}, 1)`,
    ],
    date: (d) => [
      () => `CAST(${this.of('timestamp', d)} AS DATE)`,
      () => `(${this.of('date', d)} + INTERVAL '${this.choices.pick(['1', '40'])}' ${this.choices.pick(['DAY', 'MONTH'])})`,
      () => `TRY_CAST(${this.of('text', d)} AS DATE)`,
    ],
    time: (d) => [() => `CAST(${this.of('timestamp', d)} AS TIME)`, () => this.of('time', d)],
    timestamp: (d) => [
      () => `(${this.of('timestamp', d)} ${this.choices.pick(['+', '-'])} INTERVAL '3' ${this.choices.pick(['SECOND', 'DAY', 'MONTH'])})`,
      () => `FLOOR(${this.of('timestamp', d)} TO ${this.choices.pick(['MINUTE', 'HOUR', 'DAY'])})`,
      () => `CAST(${this.of('date', d)} AS TIMESTAMP(3))`,
      () => `TIMESTAMPADD(MINUTE, ${this.of('int', 0)}, ${this.of('timestamp', d)})`,
      () => `CAST(${this.of('ltz', d)} AS TIMESTAMP(3))`,
    ],
    ltz: (d) => [() => `CAST(${this.of('timestamp', d)} AS TIMESTAMP_LTZ(3))`, () => `TO_TIMESTAMP_LTZ(${this.of('int', d)}, 3)`],
    bytes: (d) => [() => `CAST(${this.of('text', d)} AS BYTES)`, () => this.of('bytes', d)],
    ints: (d) => [
      () => `ARRAY[${this.of('int', d)}, ${this.of('int', d)}]`,
      () => `ARRAY_DISTINCT(${this.of('ints', d)})`,
      () => `ARRAY_REVERSE(${this.of('ints', d)})`,
    ],
    texts: (d) => [() => `ARRAY[${this.of('text', d)}, ${this.of('text', d)}]`, () => `SPLIT(${this.of('text', d)}, 'a')`],
    map: (d) => [() => `MAP['a', ${this.of('int', d)}]`, () => `MAP['b', ${this.of('int', d)}, 'a', 1]`],
    row: (d) => [() => `CAST(ROW(${this.of('int', d)}, ${this.of('text', d)}) AS ROW<a INT, b STRING>)`],
  }

  private column(kind: Kind, depth: number): string {
    const columns = this.columns.filter((column) => column.kind === kind)
    return columns.length > 0 ? this.choices.pick(columns).name : this.of(kind, depth)
  }

  /** Of a column: elements of literals are another matter in Flink (docs/flink-differences.md). */
  private elementOf(kind: Kind, access: string, otherwise: string): string {
    const columns = this.columns.filter((column) => column.kind === kind)
    return columns.length > 0 ? `${this.choices.pick(columns).name}${access}` : otherwise
  }
}
