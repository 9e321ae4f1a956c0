// Types as SQL writes them, to `SqlType`.

import { nearestName } from '../base/index.ts'
import { DECIMAL_PRECISION_MAX, LENGTH_MAX, type RowField, type SqlType, t, withNullable } from '../data/index.ts'
import type { TypeNode } from './ast.ts'
import type { Cursor } from './cursor.ts'
import { sqlErrors } from './errors.ts'

const simpleTypes: Record<string, SqlType> = {
  BOOLEAN: t.boolean(),
  TINYINT: t.tinyint(),
  SMALLINT: t.smallint(),
  INT: t.int(),
  INTEGER: t.int(),
  BIGINT: t.bigint(),
  FLOAT: t.float(),
  REAL: t.float(),
  DATE: t.date(),
  STRING: t.string(),
  BYTES: t.bytes(),
}
const otherTypes = [
  ...[
    'DOUBLE',
    'DECIMAL',
    'DEC',
    'NUMERIC',
    'CHAR',
    'CHARACTER',
    'VARCHAR',
    'BINARY',
    'VARBINARY',
    'TIME',
    'TIMESTAMP',
    'TIMESTAMP_LTZ',
    'INTERVAL',
  ],
  ...['ARRAY', 'MULTISET', 'MAP', 'ROW'],
]
export const knownTypes = [...Object.keys(simpleTypes), ...otherTypes]
const unsupportedTypes = new Set(['RAW', 'STRUCTURED', 'VARIANT', 'DESCRIPTOR'])

/** A type with its NOT NULL, if any. */
export function parseType(p: Cursor): TypeNode {
  const { start } = p.token
  const type = p.nested(() => typeWithNullability(p))
  return { type, span: p.from(start) }
}

function typeWithNullability(p: Cursor): SqlType {
  let type = nullability(p, coreType(p))
  // INT ARRAY, INT NOT NULL MULTISET: the older way to write collections.
  for (;;) {
    if (p.accept('ARRAY')) type = nullability(p, t.array(type))
    else if (p.accept('MULTISET')) type = nullability(p, t.multiset(type))
    else return type
  }
}

function nullability(p: Cursor, type: SqlType): SqlType {
  if (p.acceptAll('NOT', 'NULL')) return withNullable(type, false)
  // `c STRING NULL` says what is so anyway, but `NULL ON NULL` after a RETURNING type is no part of it.
  if (p.at('NULL') && p.peek().key !== 'ON') p.next()
  return type
}

function coreType(p: Cursor): SqlType {
  const { token } = p
  if (token.kind !== 'word') throw p.fail('a type')
  if (unsupportedTypes.has(token.key))
    throw p.notSupported(`the type ${token.key}`, 'Use ROW<…>, MAP<…> or STRING, or BYTES for opaque data.')
  p.next()
  const simple = simpleTypes[token.key]
  if (simple) return simple
  switch (token.key) {
    case 'DOUBLE':
      p.accept('PRECISION')
      return t.double()
    case 'DECIMAL':
    case 'DEC':
    case 'NUMERIC':
      return decimalType(p, token.start)
    case 'CHAR':
    case 'CHARACTER':
      return p.accept('VARYING') ? t.varchar(length(p) ?? LENGTH_MAX) : t.char(length(p) ?? 1)
    case 'VARCHAR':
      return t.varchar(length(p) ?? LENGTH_MAX)
    case 'BINARY':
      if (p.accept('VARYING')) return { kind: 'VARBINARY', length: length(p) ?? LENGTH_MAX, nullable: true }
      return { kind: 'BINARY', length: length(p) ?? 1, nullable: true }
    case 'VARBINARY':
      return { kind: 'VARBINARY', length: length(p) ?? LENGTH_MAX, nullable: true }
    case 'TIME': {
      const type = t.time(precision(p, 0))
      p.acceptAll('WITHOUT', 'TIME', 'ZONE')
      return type
    }
    case 'TIMESTAMP':
      return timestampType(p)
    case 'TIMESTAMP_LTZ':
      return t.timestampLtz(precision(p, 6))
    case 'INTERVAL':
      return intervalType(p)
    case 'ARRAY':
    case 'MULTISET': {
      p.expect('<')
      const element = parseType(p).type
      p.expect('>')
      return token.key === 'ARRAY' ? t.array(element) : t.multiset(element)
    }
    case 'MAP': {
      p.expect('<')
      const key = parseType(p).type
      p.expect(',')
      const value = parseType(p).type
      p.expect('>')
      return t.map(key, value)
    }
    case 'ROW':
      return rowType(p)
    default:
      throw sqlErrors('SQL_TYPE_UNKNOWN', { name: token.text, nearest: nearestName(token.key, knownTypes), position: p.position(token) })
  }
}

function decimalType(p: Cursor, start: number): SqlType {
  if (!p.accept('(')) return t.decimal()
  const digits = p.wholeNumber(LENGTH_MAX)
  const scale = p.accept(',') ? p.wholeNumber(LENGTH_MAX) : 0
  p.expect(')')
  if (digits < 1 || digits > DECIMAL_PRECISION_MAX || scale > digits) {
    const reason = `The precision is 1 to ${DECIMAL_PRECISION_MAX}, the scale 0 to the precision.`
    throw sqlErrors('SQL_TYPE_INVALID', { type: `DECIMAL(${digits}, ${scale})`, reason, position: p.position(p.from(start)) })
  }
  return t.decimal(digits, scale)
}

function length(p: Cursor): number | undefined {
  if (!p.accept('(')) return undefined
  const { token } = p
  const value = p.wholeNumber(LENGTH_MAX)
  if (value < 1)
    throw sqlErrors('SQL_TYPE_INVALID', { type: 'of length 0', reason: 'The length is at least 1.', position: p.position(token) })
  p.expect(')')
  return value
}

/** Digits after the second, 0 to 9. */
function precision(p: Cursor, byDefault: number): number {
  if (!p.accept('(')) return byDefault
  const value = p.wholeNumber(9)
  p.expect(')')
  return value
}

function timestampType(p: Cursor): SqlType {
  const digits = precision(p, 6)
  if (p.acceptAll('WITH', 'LOCAL', 'TIME', 'ZONE')) return t.timestampLtz(digits)
  if (p.at('WITH') && p.peek().key === 'TIME') {
    throw p.notSupported('TIMESTAMP WITH TIME ZONE', 'Use TIMESTAMP_LTZ, a point in time shown in the session’s time zone.')
  }
  p.acceptAll('WITHOUT', 'TIME', 'ZONE')
  return t.timestamp(digits)
}

function intervalType(p: Cursor): SqlType {
  const unit = (): string => {
    if (!p.atAny('YEAR', 'MONTH', 'DAY', 'HOUR', 'MINUTE', 'SECOND')) throw p.fail()
    const { key } = p.next()
    if (p.accept('(')) {
      p.wholeNumber(9)
      if (p.accept(',')) p.wholeNumber(9)
      p.expect(')')
    }
    return key
  }
  const from = unit()
  // One of several units is no number of any.
  const single = p.accept('TO') && unit() !== from ? undefined : from
  return from === 'YEAR' || from === 'MONTH' ? t.intervalYearMonth(true, single) : t.intervalDayTime(true, single)
}

function rowType(p: Cursor): SqlType {
  const { start } = p.token
  const close = p.at('<') ? '>' : ')'
  if (!p.accept('<')) p.expect('(')
  const fields = p.list((): RowField => {
    const { name } = p.name('a name of a field')
    const { type } = parseType(p)
    // Flink keeps a field's comment for people only.
    if (p.token.kind === 'string') p.next()
    return { name, type }
  })
  p.expect(close)
  const twice = fields.find(({ name }, i) => fields.findIndex((field) => field.name === name) < i)
  if (twice) {
    const reason = `Give each field a name of its own: "${twice.name}" is there twice.`
    throw sqlErrors('SQL_TYPE_INVALID', { type: 'ROW', reason, position: p.position(p.from(start)) })
  }
  return t.row(fields)
}
