// SQL types, as Flink has them, and the one way values of each are held in memory.
//
// type                     value in kernels, state and tests      lane of a column
// BOOLEAN                  boolean                                 u8 (0, 1)
// TINYINT SMALLINT INT     number                                  i32
// BIGINT                   bigint (64 bits, wraps)                 i64
// FLOAT                    number, rounded with Math.fround        f64
// DOUBLE                   number                                  f64
// DECIMAL(p ≤ 18, s)       bigint, unscaled                        i64
// DECIMAL(p > 18, s)       bigint, unscaled                        any
// CHAR VARCHAR             string                                  utf8 (from decoders) or any (computed strings)
// BINARY VARBINARY         Uint8Array                              any
// DATE                     number, days since 1970-01-01           i32
// TIME                     number, ms of the day                   i32
// TIMESTAMP(p ≤ 3), _LTZ   number, epoch ms                        f64
// TIMESTAMP(p > 3), _LTZ   bigint, epoch ns                        any
// INTERVAL YEAR TO MONTH   number, months                          i32
// INTERVAL DAY TO SECOND   number, ms                              f64
// ARRAY                    array of values, null for NULL          any
// MAP                      Map from value to value                 any
// MULTISET                 Map from value to count (number)        any
// ROW                      array of values, in field order         any
// NULL (untyped literal)   null                                    any

export type SimpleKind =
  | 'BOOLEAN'
  | 'TINYINT'
  | 'SMALLINT'
  | 'INT'
  | 'BIGINT'
  | 'FLOAT'
  | 'DOUBLE'
  | 'DATE'
  | 'INTERVAL_YEAR_MONTH'
  | 'INTERVAL_DAY_TIME'
  | 'NULL'
export type LengthKind = 'CHAR' | 'VARCHAR' | 'BINARY' | 'VARBINARY'
export type PrecisionKind = 'TIME' | 'TIMESTAMP' | 'TIMESTAMP_LTZ'

export type SqlType =
  /** `unit` of an interval: in which a number is read from it or becomes one, DAY of `INTERVAL '3' DAY`; no part of its values. */
  | { kind: SimpleKind; nullable: boolean; unit?: string }
  | { kind: LengthKind; length: number; nullable: boolean }
  | { kind: PrecisionKind; precision: number; nullable: boolean }
  | { kind: 'DECIMAL'; precision: number; scale: number; nullable: boolean }
  | { kind: 'ARRAY' | 'MULTISET'; element: SqlType; nullable: boolean }
  | { kind: 'MAP'; key: SqlType; value: SqlType; nullable: boolean }
  | { kind: 'ROW'; fields: RowField[]; nullable: boolean }

export type TypeKind = SqlType['kind']
export interface RowField {
  name: string
  type: SqlType
}

/** A column of a table or of an operator's output. */
export interface Field {
  name: string
  type: SqlType
  /** Set while the column is a time attribute: windows and interval joins may use it. */
  timeAttribute?: 'event' | 'processing'
}

export const LENGTH_MAX = 2_147_483_647
export const DECIMAL_PRECISION_MAX = 38

const simple = (kind: SimpleKind, nullable: boolean): SqlType => ({ kind, nullable })

/** Makes types: `t.bigint()` is nullable, `t.bigint(false)` is NOT NULL. */
export const t = {
  boolean: (nullable = true) => simple('BOOLEAN', nullable),
  tinyint: (nullable = true) => simple('TINYINT', nullable),
  smallint: (nullable = true) => simple('SMALLINT', nullable),
  int: (nullable = true) => simple('INT', nullable),
  bigint: (nullable = true) => simple('BIGINT', nullable),
  float: (nullable = true) => simple('FLOAT', nullable),
  double: (nullable = true) => simple('DOUBLE', nullable),
  date: (nullable = true) => simple('DATE', nullable),
  intervalYearMonth: (nullable = true, unit?: string): SqlType => ({ ...simple('INTERVAL_YEAR_MONTH', nullable), ...(unit && { unit }) }),
  intervalDayTime: (nullable = true, unit?: string): SqlType => ({ ...simple('INTERVAL_DAY_TIME', nullable), ...(unit && { unit }) }),
  null: () => simple('NULL', true),
  string: (nullable = true): SqlType => ({ kind: 'VARCHAR', length: LENGTH_MAX, nullable }),
  varchar: (length: number, nullable = true): SqlType => ({ kind: 'VARCHAR', length, nullable }),
  char: (length: number, nullable = true): SqlType => ({ kind: 'CHAR', length, nullable }),
  bytes: (nullable = true): SqlType => ({ kind: 'VARBINARY', length: LENGTH_MAX, nullable }),
  time: (precision = 0, nullable = true): SqlType => ({ kind: 'TIME', precision, nullable }),
  timestamp: (precision = 6, nullable = true): SqlType => ({ kind: 'TIMESTAMP', precision, nullable }),
  timestampLtz: (precision = 6, nullable = true): SqlType => ({ kind: 'TIMESTAMP_LTZ', precision, nullable }),
  decimal: (precision = 10, scale = 0, nullable = true): SqlType => ({ kind: 'DECIMAL', precision, scale, nullable }),
  array: (element: SqlType, nullable = true): SqlType => ({ kind: 'ARRAY', element, nullable }),
  multiset: (element: SqlType, nullable = true): SqlType => ({ kind: 'MULTISET', element, nullable }),
  map: (key: SqlType, value: SqlType, nullable = true): SqlType => ({ kind: 'MAP', key, value, nullable }),
  row: (fields: RowField[], nullable = true): SqlType => ({ kind: 'ROW', fields, nullable }),
}

export const withNullable = (type: SqlType, nullable: boolean): SqlType => (type.nullable === nullable ? type : { ...type, nullable })

/**
 * How a column of this type is stored. From computed expressions strings may also come in lane `any` (as JS strings), and decimals of
 * more than 18 digits in lane `i64` where a batch's values fit.
 */
export type Lane = 'u8' | 'i32' | 'i64' | 'f64' | 'utf8' | 'any'

export function laneOf(type: SqlType): Lane {
  switch (type.kind) {
    case 'BOOLEAN':
      return 'u8'
    case 'TINYINT':
    case 'SMALLINT':
    case 'INT':
    case 'DATE':
    case 'TIME':
    case 'INTERVAL_YEAR_MONTH':
      return 'i32'
    case 'BIGINT':
      return 'i64'
    case 'FLOAT':
    case 'DOUBLE':
    case 'INTERVAL_DAY_TIME':
      return 'f64'
    case 'DECIMAL':
      return type.precision <= 18 ? 'i64' : 'any'
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return type.precision <= 3 ? 'f64' : 'any'
    case 'CHAR':
    case 'VARCHAR':
      return 'utf8'
    default:
      return 'any'
  }
}

const notNull = (type: SqlType): string => (type.nullable ? '' : ' NOT NULL')
const quoted = (name: string): string => `\`${name.replaceAll('`', '``')}\``

/**
 * A type's text as Flink serializes it, NOT NULL included.
 *
 * @example formatType(t.string()) // 'VARCHAR(2147483647)'
 * @source Flink's LogicalType.asSerializableString
 */
export function formatType(type: SqlType): string {
  const end = notNull(type)
  switch (type.kind) {
    case 'CHAR':
    case 'VARCHAR':
    case 'BINARY':
    case 'VARBINARY':
      return `${type.kind}(${type.length})${end}`
    case 'TIME':
    case 'TIMESTAMP':
      return `${type.kind}(${type.precision})${end}`
    case 'TIMESTAMP_LTZ':
      return `TIMESTAMP(${type.precision}) WITH LOCAL TIME ZONE${end}`
    case 'DECIMAL':
      return `DECIMAL(${type.precision}, ${type.scale})${end}`
    case 'ARRAY':
    case 'MULTISET':
      return `${type.kind}<${formatType(type.element)}>${end}`
    case 'MAP':
      return `MAP<${formatType(type.key)}, ${formatType(type.value)}>${end}`
    case 'ROW':
      return `ROW<${type.fields.map((field) => `${quoted(field.name)} ${formatType(field.type)}`).join(', ')}>${end}`
    case 'INTERVAL_YEAR_MONTH':
      return `INTERVAL MONTH${end}`
    case 'INTERVAL_DAY_TIME':
      return `INTERVAL SECOND(3)${end}`
    default:
      return `${type.kind}${end}`
  }
}

export const isIntegerKind = (kind: TypeKind): boolean => kind === 'TINYINT' || kind === 'SMALLINT' || kind === 'INT' || kind === 'BIGINT'
export const isApproximateKind = (kind: TypeKind): boolean => kind === 'FLOAT' || kind === 'DOUBLE'
export const isNumericKind = (kind: TypeKind): boolean => isIntegerKind(kind) || isApproximateKind(kind) || kind === 'DECIMAL'
export const isTextKind = (kind: TypeKind): boolean => kind === 'CHAR' || kind === 'VARCHAR'
export const isTimestampKind = (kind: TypeKind): boolean => kind === 'TIMESTAMP' || kind === 'TIMESTAMP_LTZ'
