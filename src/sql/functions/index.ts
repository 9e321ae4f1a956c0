// Scalar functions and operators: signatures and Flink's type derivation. What they compute is in engine/expressions, by the same ids.
//
// For callers: operators have names as in `operators.ts`; SQL's own spellings ('||', 'CEILING', 'IS NOT JSON OBJECT') are aliases here.
// What is no value goes into `options`: unit (EXTRACT, FLOOR, CEIL, TIMESTAMPADD, TIMESTAMPDIFF), trim (TRIM), index (FIELD),
// names (ROW), and the JSON behaviours of json.ts.

import { nearestName } from '../../base/index.ts'
import { t } from '../../data/index.ts'
import { sqlErrors } from '../errors.ts'
import type { Expr } from '../plan.ts'
import { collectionSpecs } from './collections.ts'
import { jsonSpecs } from './json.ts'
import { mathSpecs } from './math.ts'
import { concatSpecs, operatorSpecs } from './operators.ts'
import type { AnySpec, CallInfo } from './signature.ts'
import { operatorNames, resolveSpec } from './signature.ts'
import { temporalSpecs } from './temporal.ts'
import { textSpecs } from './text.ts'

export { assignExpr, canCast, castExpr, coerce } from './casts.ts'
export { hasJsonForm, isJson } from './json.ts'
export { summaryOf } from './operators.ts'
export { badArguments } from './signature.ts'
export { decimalResult, decimalSizeOf, leastRestrictive, sameType } from './typing.ts'

const namedSpecs = [...concatSpecs, ...mathSpecs, ...textSpecs, ...temporalSpecs, ...collectionSpecs, ...jsonSpecs]
/** Operators that are also called by name. */
const namedOperators = [
  'MOD',
  'IF',
  'COALESCE',
  'IFNULL',
  'NULLIF',
  'GREATEST',
  'LEAST',
  'ROW',
  'ARRAY',
  'MAP',
  'TYPEOF',
  'CURRENT_DATABASE',
]
const specs = new Map<string, AnySpec>([...operatorSpecs, ...namedSpecs].map((spec) => [spec.name, spec]))

const aliases: Record<string, string> = {
  CEILING: 'CEIL',
  CHARACTER_LENGTH: 'CHAR_LENGTH',
  SUBSTR: 'SUBSTRING',
  TRANSLATE3: 'TRANSLATE',
}
/** What other databases call it, and what it is in Flink. */
const elsewhere: Record<string, string> = {
  LENGTH: 'CHAR_LENGTH',
  LEN: 'CHAR_LENGTH',
  POW: 'POWER',
  RLIKE: 'REGEXP',
  REGEXP_LIKE: 'REGEXP',
  NVL: 'COALESCE',
  ISNULL: 'COALESCE',
  IIF: 'IF',
  LCASE: 'LOWER',
  UCASE: 'UPPER',
  CHARINDEX: 'LOCATE',
  STRPOS: 'LOCATE',
  STRING_AGG: 'LISTAGG',
  GROUP_CONCAT: 'LISTAGG',
  STRING_TO_ARRAY: 'SPLIT',
  DATEDIFF: 'TIMESTAMPDIFF(unit, from, to)',
  DATE_DIFF: 'TIMESTAMPDIFF(unit, from, to)',
  DATEADD: 'TIMESTAMPADD(unit, count, time)',
  DATE_ADD: 'TIMESTAMPADD(unit, count, time)',
  DATE_SUB: 'TIMESTAMPADD(unit, -count, time)',
  DATE_TRUNC: 'FLOOR(time TO unit)',
  DATE_PART: 'EXTRACT(unit FROM time)',
  TO_CHAR: 'DATE_FORMAT',
  MEDIAN: 'PERCENTILE(value, 0.5)',
}
/** The name that is meant by one that does not exist. */
export const meantFunction = (name: string, names: Iterable<string> = scalarFunctionNames()): string | undefined =>
  elsewhere[name.toUpperCase()] ?? nearestName(name, names)
const operatorAliases: Record<string, string> = { ...operatorNames, '||': 'CONCAT_OPERATOR', '%': 'MOD', IS_JSON: 'IS_JSON_VALUE' }

const plainName = (name: string): string => {
  const upper = name.toUpperCase().replaceAll(' ', '_')
  return operatorAliases[upper] ?? aliases[upper] ?? upper
}

/**
 * A call with its arguments brought to the signature's types, and its result type.
 *
 * @param name  function or operator, in any case: 'UPPER', 'PLUS', '+', 'IS NOT NULL'
 * @throws StreamError  SQL_FUNCTION_NOT_FOUND, SQL_ARGUMENTS_INVALID, SQL_CAST_INVALID; `params.span` says where
 */
export function resolveCall(name: string, args: Expr[], info: CallInfo = {}): Expr {
  const plain = plainName(name)
  if (plain.startsWith('IS_NOT_JSON')) {
    const positive = resolveCall(plain.replace('IS_NOT_', 'IS_'), args, info)
    return { kind: 'call', fn: 'NOT', args: [positive], type: t.boolean(false) }
  }
  const spec = specs.get(plain)
  if (spec === undefined) throw sqlErrors('SQL_FUNCTION_NOT_FOUND', { fn: name, nearest: meantFunction(plain), span: info.span })
  refuseBareNull(plain, args, info)
  return 'resolve' in spec ? spec.resolve(args, info) : resolveSpec(spec, args, info)
}

/** Where Flink takes a NULL without a type; elsewhere "Illegal use of 'NULL'". */
const takesBareNull = new Set([
  'EQUALS', 'NOT_EQUALS', 'LESS', 'LESS_OR_EQUAL', 'GREATER', 'GREATER_OR_EQUAL', 'IS_DISTINCT_FROM', 'IS_NOT_DISTINCT_FROM', 'IS_NULL',
  'IS_NOT_NULL', 'BETWEEN', 'BETWEEN_SYMMETRIC', 'IN', 'CASE', 'COALESCE', 'IFNULL', 'NULLIF', 'ARRAY', 'MAP', 'ELT', 'BTRIM',
  'REGEXP_EXTRACT_ALL', 'REGEXP_COUNT', 'REGEXP_INSTR', 'REGEXP_SUBSTR', 'SPLIT', 'STARTSWITH', 'ENDSWITH', 'PRINTF', 'URL_ENCODE',
  'URL_DECODE', 'UNHEX', 'ARRAY_CONTAINS', 'ARRAY_POSITION', 'ARRAY_REMOVE', 'ARRAY_APPEND', 'ARRAY_PREPEND', 'ARRAY_SORT', 'ARRAY_SLICE',
  'ARRAY_JOIN', 'MAP_FROM_ARRAYS', 'TO_TIMESTAMP_LTZ', 'TYPEOF', 'JSON_OBJECT', 'JSON_ARRAY', 'JSON_STRING', 'JSON_QUOTE', 'JSON_UNQUOTE',
  'JSON_VALUE', 'JSON_QUERY', 'JSON_EXISTS', 'LAG', 'LEAD', 'FIELD',
]) // biome-ignore format: a list
/** Of these only what comes after the first argument. */
const notFirst = new Set(['ELT', 'ARRAY_SORT', 'ARRAY_SLICE'])

function refuseBareNull(name: string, args: readonly Expr[], info: CallInfo): void {
  const isBare = ({ kind, type }: Expr) => kind === 'literal' && type.kind === 'NULL'
  if (takesBareNull.has(name) ? notFirst.has(name) && args.length > 0 && isBare(args[0]) : args.some(isBare))
    throw sqlErrors('SQL_NULL_UNTYPED', { where: name, span: info.span })
}

const callable = new Set([...namedSpecs.map((spec) => spec.name), ...namedOperators, ...Object.keys(aliases)])

/** True for what can be called by name; operators are not. */
export const isScalarFunction = (name: string): boolean => callable.has(name.toUpperCase())
export const scalarFunctionNames = (): string[] => [...callable].sort()
