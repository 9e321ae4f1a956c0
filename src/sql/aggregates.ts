// Aggregate and ranking functions: which exist, what they take, and the type that Flink gives the result.
//
// @source Flink 2.1's operator table and type system, checked by the golden cases aggregate/* and over/*
import type { SqlType } from '../data/index.ts'
import { DECIMAL_PRECISION_MAX, formatType, isIntegerKind, isNumericKind, isTextKind, t, withNullable } from '../data/index.ts'
import type { Span } from './ast.ts'
import { sqlErrors } from './errors.ts'
import { hasJsonForm } from './functions/index.ts'

export interface AggregateInfo {
  distinct: boolean
  /** PERCENTILE of an ARRAY of shares gives an array. */
  shares?: boolean
  /** Is a group always non-empty? False for a global aggregate and with FILTER: the result can be NULL. */
  nonEmpty: boolean
  span: Span
}
export interface ResolvedAggregate {
  /** The id in plans: aliases (STDDEV, VARIANCE) are resolved. */
  fn: string
  type: SqlType
  /** To which types the arguments are to be cast. */
  argTypes: SqlType[]
}

interface AggregateSpec {
  fn?: string
  argCounts: readonly number[]
  expected: string
  accepts?: (type: SqlType) => boolean
  result: (arg: SqlType, nonEmpty: boolean) => SqlType
}

/** Fraction digits that AVG, STDDEV and VAR of decimals have at least. */
const AVERAGE_SCALE_MIN = 6
/** Length of the text that JSON_OBJECTAGG and JSON_ARRAYAGG declare. */
const JSON_AGGREGATE_LENGTH = 2000

/** DISTINCT can tell values of it apart. */
const isTellable = ({ kind }: SqlType): boolean => !['ROW', 'MAP', 'BINARY', 'VARBINARY'].includes(kind)
const isNumeric = (type: SqlType): boolean => isNumericKind(type.kind) || type.kind === 'NULL'
const isComparable = (type: SqlType): boolean => !['ARRAY', 'MAP', 'MULTISET', 'ROW', 'BINARY', 'VARBINARY'].includes(type.kind)
const ifNonEmpty = (type: SqlType, nonEmpty: boolean): SqlType => (nonEmpty ? type : withNullable(type, true))
const sumType = (arg: SqlType): SqlType =>
  arg.kind === 'DECIMAL' ? { ...arg, precision: DECIMAL_PRECISION_MAX } : arg.kind === 'NULL' ? t.int() : arg
const averageType = (arg: SqlType): SqlType =>
  arg.kind === 'DECIMAL'
    ? { ...arg, precision: DECIMAL_PRECISION_MAX, scale: Math.max(arg.scale, AVERAGE_SCALE_MIN) }
    : arg.kind === 'NULL'
      ? t.int()
      : arg

const count: AggregateSpec = { argCounts: [0, 1], expected: 'no or one argument', result: () => t.bigint(false) }
const sum: AggregateSpec = {
  argCounts: [1],
  expected: 'a number',
  accepts: isNumeric,
  result: (arg, full) => ifNonEmpty(sumType(arg), full),
}
const average: AggregateSpec = {
  argCounts: [1],
  expected: 'a number',
  accepts: isNumeric,
  result: (arg, full) => ifNonEmpty(averageType(arg), full),
}
const extreme: AggregateSpec = { argCounts: [1], expected: 'a value that can be compared', accepts: isComparable, result: ifNonEmpty }
/** Flink remembers no values of other types: no times, bytes, CHARs or collections. */
const isRemembered = ({ kind }: SqlType): boolean => isNumericKind(kind) || kind === 'BOOLEAN' || kind === 'VARCHAR'
const positional: AggregateSpec = {
  argCounts: [1],
  expected: 'a number, a BOOLEAN or a STRING; of a time take MIN or MAX, or CAST it AS STRING',
  accepts: isRemembered,
  result: ifNonEmpty,
}

const AGGREGATES = new Map<string, AggregateSpec>([
  ['COUNT', count],
  ['SUM', sum],
  ['$SUM0', { ...sum, fn: 'SUM0', result: (arg) => withNullable(sumType(arg), false) }],
  ['AVG', average],
  ['MIN', extreme],
  ['MAX', extreme],
  ['STDDEV_POP', average],
  ['STDDEV_SAMP', average],
  ['STDDEV', { ...average, fn: 'STDDEV_SAMP' }],
  ['VAR_POP', average],
  ['VAR_SAMP', average],
  ['VARIANCE', { ...average, fn: 'VAR_SAMP' }],
  ['FIRST_VALUE', positional],
  ['LAST_VALUE', positional],
  /** (value, share, how often the value counts); the share is in the options. */
  [
    'PERCENTILE',
    { argCounts: [1, 2], expected: 'a number, a share from 0 to 1, then perhaps a count', accepts: isNumeric, result: () => t.double() },
  ],
  /** Inserted for a scalar subquery that is no aggregate: fails when there are two rows. */
  ['SINGLE_VALUE', { argCounts: [1], expected: 'one argument', result: (arg) => withNullable(arg, true) }],
  [
    'LISTAGG',
    {
      argCounts: [1],
      expected: 'text, then perhaps a text literal',
      accepts: (type) => isTextKind(type.kind) || type.kind === 'NULL',
      result: (arg) => (arg.kind === 'NULL' ? t.string() : arg),
    },
  ],
  ['COLLECT', { argCounts: [1], expected: 'one argument', result: (arg) => t.multiset(arg, false) }],
  ['ARRAY_AGG', { argCounts: [1], expected: 'one argument', result: (arg) => t.array(arg, mayHoldNull(arg)) }],
  [
    'JSON_OBJECTAGG',
    {
      argCounts: [2],
      expected: 'a text key, and a value that JSON has a form for; a DATE or TIME as text',
      accepts: hasJsonForm,
      result: () => t.varchar(JSON_AGGREGATE_LENGTH, false),
    },
  ],
  [
    'JSON_ARRAYAGG',
    {
      argCounts: [1],
      expected: 'a value that JSON has a form for; a DATE or TIME as text',
      accepts: hasJsonForm,
      result: () => t.varchar(JSON_AGGREGATE_LENGTH, false),
    },
  ],
])

/** Functions that exist only with OVER. */
const RANKINGS = new Map<string, { argCounts: readonly number[]; type: SqlType }>([
  ['ROW_NUMBER', { argCounts: [0], type: t.bigint(false) }],
  ['RANK', { argCounts: [0], type: t.bigint(false) }],
  ['DENSE_RANK', { argCounts: [0], type: t.bigint(false) }],
  ['PERCENT_RANK', { argCounts: [0], type: t.double(false) }],
  ['CUME_DIST', { argCounts: [0], type: t.double(false) }],
  ['NTILE', { argCounts: [1], type: t.bigint(false) }],
])

export const isAggregateFunction = (name: string): boolean => AGGREGATES.has(name)
export const isRankingFunction = (name: string): boolean => RANKINGS.has(name) || name === 'LAG' || name === 'LEAD'
/** Made by the binder alone, never written. */
const INTERNAL = ['$SUM0', 'SINGLE_VALUE']
export const aggregateFunctionNames = (): string[] =>
  [...AGGREGATES.keys(), ...RANKINGS.keys(), 'LAG', 'LEAD'].filter((name) => !INTERNAL.includes(name))

/**
 * The function and result type of an aggregate.
 *
 * @param name      upper case
 * @param argTypes  without what is no value (LISTAGG's separator, COUNT's star)
 * @throws StreamError  SQL_AGGREGATE_ARGUMENTS, SQL_DISTINCT_UNSUPPORTED
 */
export function resolveAggregate(
  name: string,
  argTypes: SqlType[],
  { distinct, nonEmpty, shares, span }: AggregateInfo,
): ResolvedAggregate {
  const spec = AGGREGATES.get(name)!
  const refuse = () =>
    sqlErrors('SQL_AGGREGATE_ARGUMENTS', { name, types: argTypes.map(formatType).join(', '), expected: spec.expected, span })
  if (!spec.argCounts.includes(argTypes.length)) throw refuse()
  if (spec.accepts !== undefined && !argTypes.every(spec.accepts)) throw refuse()
  if (name === 'JSON_OBJECTAGG' && !isTextKind(argTypes[0].kind)) throw refuse()
  if (distinct && (argTypes.length !== 1 || !isTellable(argTypes[0]))) {
    throw sqlErrors('SQL_DISTINCT_UNSUPPORTED', { name, types: argTypes.map(formatType).join(', '), span })
  }
  const [arg] = argTypes
  const type = shares ? t.array(t.double()) : spec.result(arg ?? t.null(), nonEmpty)
  if (name === 'PERCENTILE') {
    if (argTypes[1] !== undefined && !isIntegerKind(argTypes[1].kind)) throw refuse()
    return { fn: name, type, argTypes: [t.double(arg.nullable), ...argTypes.slice(1)] }
  }
  return { fn: spec.fn ?? name, type, argTypes: name === 'JSON_OBJECTAGG' ? [t.string(arg.nullable), argTypes[1]] : argTypes }
}

/** As Flink sees it where it asks for NULLs: a ROW with a field that may be NULL may be NULL itself. */
export const mayHoldNull = (type: SqlType): boolean =>
  type.nullable || (type.kind === 'ROW' && type.fields.some((field) => mayHoldNull(field.type)))

/**
 * The result type of ROW_NUMBER, RANK, …; LAG and LEAD with a default that is NOT NULL are NOT NULL, as in Flink, whatever the rows hold.
 *
 * @throws StreamError  SQL_AGGREGATE_ARGUMENTS
 */
export function resolveRanking(name: string, argTypes: SqlType[], span: Span): ResolvedAggregate {
  const types = argTypes.map(formatType).join(', ')
  if (name === 'LAG' || name === 'LEAD') {
    if (argTypes.length < 1 || argTypes.length > 3 || (argTypes.length > 1 && !isIntegerKind(argTypes[1].kind))) {
      throw sqlErrors('SQL_AGGREGATE_ARGUMENTS', { name, types, expected: 'a value, then perhaps a number of rows and a default', span })
    }
    return { fn: name, type: withNullable(argTypes[0], argTypes[2]?.nullable ?? true), argTypes }
  }
  const { argCounts, type } = RANKINGS.get(name)!
  if (!argCounts.includes(argTypes.length)) {
    throw sqlErrors('SQL_AGGREGATE_ARGUMENTS', { name, types, expected: argCounts[0] === 0 ? 'no argument' : 'one argument', span })
  }
  return { fn: name, type, argTypes }
}
