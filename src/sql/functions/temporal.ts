// Signatures of date and time functions. Units are in options.unit: YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, …
import { t } from '../../data/index.ts'
import type { Expr } from '../plan.ts'
import type { AnySpec, CallInfo } from './signature.ts'
import {
  anyNullable,
  argType,
  badArguments,
  call,
  fn,
  forceNullable,
  ifArgs,
  never,
  overload,
  p,
  resolveSpec,
  withOptional,
} from './signature.ts'
import { isDatetimeKind, isIntervalKind } from './typing.ts'

/** YEAR(x) is EXTRACT(YEAR FROM x). */
const extractors: Record<string, string> = {
  YEAR: 'YEAR',
  QUARTER: 'QUARTER',
  MONTH: 'MONTH',
  WEEK: 'WEEK',
  DAYOFYEAR: 'DOY',
  DAYOFMONTH: 'DAY',
  DAYOFWEEK: 'DOW',
  HOUR: 'HOUR',
  MINUTE: 'MINUTE',
  SECOND: 'SECOND',
}
const unitsOfTime = new Set(['HOUR', 'MINUTE', 'SECOND', 'MILLISECOND', 'MICROSECOND', 'NANOSECOND'])

function resolveExtract(args: Expr[], info: CallInfo): Expr {
  const [arg] = args
  if (args.length !== 1 || !(isDatetimeKind(arg.type.kind) || isIntervalKind(arg.type.kind)) || !info.options?.unit) {
    throw badArguments('EXTRACT', args, info, 'EXTRACT(unit FROM date, time, timestamp or interval)')
  }
  const ofTimestamps = ['NANOSECOND', 'MICROSECOND', 'EPOCH'].includes(info.options.unit as string)
  if (ofTimestamps && (isIntervalKind(arg.type.kind) || arg.type.kind === 'TIME'))
    throw badArguments('EXTRACT', args, info, `${info.options.unit} of a date or timestamp`)
  return call('EXTRACT', args, t.bigint(arg.type.nullable), info)
}

function resolveTimestampAdd(args: Expr[], info: CallInfo): Expr {
  const [, point] = args
  if (args.length !== 2 || p.integer.target(args[0].type, args[0]) === undefined || !isDatetimeKind(point.type.kind)) {
    throw badArguments('TIMESTAMPADD', args, info, 'TIMESTAMPADD(unit, INTEGER, date or timestamp)')
  }
  if (info.options?.unit === 'MICROSECOND' || info.options?.unit === 'NANOSECOND')
    throw badArguments('TIMESTAMPADD', args, info, 'units down to MILLISECOND, or time + INTERVAL')
  const [count] = args
  const type = point.type.kind === 'DATE' && unitsOfTime.has(info.options?.unit as string) ? t.timestamp(6) : point.type
  const base =
    type === point.type ? point : ({ kind: 'call', fn: 'CAST', args: [point], type: { ...type, nullable: point.type.nullable } } as Expr)
  const brought: Expr =
    count.type.kind === 'BIGINT' ? count : { kind: 'call', fn: 'CAST', args: [count], type: t.bigint(count.type.nullable) }
  return call('TIMESTAMPADD', [brought, base], { ...type, nullable: anyNullable(args) }, info)
}

const currents: [string, ReturnType<typeof t.date>][] = [
  ['CURRENT_DATE', t.date(false)],
  ['CURRENT_TIME', t.time(0, false)],
  ['LOCALTIME', t.time(0, false)],
  ['LOCALTIMESTAMP', t.timestamp(3, false)],
  ['CURRENT_TIMESTAMP', t.timestampLtz(3, false)],
  ['NOW', t.timestampLtz(3, false)],
  ['CURRENT_ROW_TIMESTAMP', t.timestampLtz(3, false)],
  ['PROCTIME', t.timestampLtz(3, false)],
]

export const temporalSpecs: AnySpec[] = [
  { name: 'EXTRACT', resolve: resolveExtract },
  ...Object.entries(extractors).map(([name, unit]) => ({
    name,
    resolve: (args: Expr[], info: CallInfo) => resolveExtract(args, { ...info, options: { unit } }),
  })),
  ...currents.map(([name, type]) => fn(name, overload(), never(type))),
  fn('DATE_FORMAT', [overload(p.timestamp, p.text), overload(p.text, p.text)], forceNullable(t.string())),
  fn('TO_DATE', withOptional(1, p.text, p.text), forceNullable(t.date())),
  fn('TO_TIMESTAMP', withOptional(1, p.text, p.text), forceNullable(t.timestamp(3))),
  fn(
    'TO_TIMESTAMP_LTZ',
    [withOptional(1, p.exactBigint, p.int32), withOptional(1, p.double, p.int32), withOptional(2, p.text, p.text, p.text)],
    forceNullable(t.timestampLtz(3)),
  ),
  {
    name: 'UNIX_TIMESTAMP',
    resolve: (args, info) => {
      const texts = args.map((arg) => p.text.target(arg.type, arg))
      if (args.length > 2 || texts.some((type) => type === undefined)) {
        throw badArguments('UNIX_TIMESTAMP', args, info, 'UNIX_TIMESTAMP([STRING [, format]])')
      }
      return call('UNIX_TIMESTAMP', args, t.bigint(anyNullable(args)), info)
    },
  },
  fn('FROM_UNIXTIME', withOptional(1, p.bigint, p.text), forceNullable(t.string())),
  fn('CONVERT_TZ', overload(p.text, p.text, p.text), forceNullable(t.string())),
  { name: 'TIMESTAMPADD', resolve: resolveTimestampAdd },
  {
    name: 'TIMESTAMPDIFF',
    resolve: (args, info) => {
      const type = info.options?.unit === 'NANOSECOND' ? t.bigint() : t.int()
      const zoned = args.filter((arg) => arg.type.kind === 'TIMESTAMP_LTZ').length
      if (zoned === 1) throw badArguments('TIMESTAMPDIFF', args, info, 'two times of one kind: CAST(… AS TIMESTAMP_LTZ(3)) makes one')
      return resolveSpec(fn('TIMESTAMPDIFF', overload(p.dateOrTimestamp, p.dateOrTimestamp), ifArgs(type)), args, info)
    },
  },
  fn('SOURCE_WATERMARK', overload(), never(t.timestamp(3))),
  fn('CURRENT_WATERMARK', overload(p.timestamp), forceNullable(argType(0))),
]
