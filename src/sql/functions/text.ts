// Signatures of text functions.
import { t } from '../../data/index.ts'
import type { Expr } from '../plan.ts'
import type { AnySpec, CallInfo, ResultRule } from './signature.ts'
import {
  argType,
  badArguments,
  fn,
  forceNullable,
  ifArgs,
  never,
  overload,
  p,
  resolveSpec,
  variadic,
  varying,
  withOptional,
} from './signature.ts'
import { commonType } from './typing.ts'

const text = ifArgs(t.string())
const anyText = forceNullable(t.string())
const hashes: [string, number][] = [
  ['MD5', 32],
  ['SHA1', 40],
  ['SHA224', 56],
  ['SHA256', 64],
  ['SHA384', 96],
  ['SHA512', 128],
]
/** Length of the first two texts together, as OVERLAY can give. */
const joined: ResultRule = ifArgs(([a, b]) => {
  const length = (arg: Expr) => (arg.type as { length: number }).length
  return t.varchar(Math.min(length(a) + length(b), 2_147_483_647))
})

/** TRIM(chars, text) or TRIM(text); options.trim is BOTH, LEADING or TRAILING. */
function resolveTrim(args: Expr[], info: CallInfo): Expr {
  const spec = fn('TRIM', [overload(p.text), overload(p.text, p.text)], (all) => ifArgs(varying(all.length - 1))(all, info))
  return resolveSpec(spec, args, { ...info, options: { trim: 'BOTH', ...info.options } })
}

function resolveElt(args: Expr[], info: CallInfo): Expr {
  const common = args.length >= 2 ? commonType(args.slice(1).map((arg) => arg.type)) : undefined
  const spec = fn('ELT', [variadic(p.text, p.bigint, p.text), variadic(p.bytes, p.bigint, p.bytes)], () => ({ ...common!, nullable: true }))
  const isNegative = args[0]?.kind === 'literal' && Number(args[0].value) < 0
  if (common === undefined || isNegative) throw badArguments('ELT', args, info, 'ELT(INTEGER, STRING, STRING …)')
  return resolveSpec(spec, args, info)
}

/** JSON predicates and regular expressions are in json.ts and below. */
export const textSpecs: AnySpec[] = [
  ...['UPPER', 'LOWER', 'INITCAP'].map((name) => fn(name, overload(p.text), ifArgs(argType(0)))),
  fn('CHAR_LENGTH', overload(p.text), ifArgs(t.int())),
  { name: 'TRIM', resolve: resolveTrim },
  ...['LTRIM', 'RTRIM'].map((name) => fn(name, withOptional(1, p.text, p.text), ifArgs(varying(0)))),
  fn('BTRIM', withOptional(1, p.text, p.text), text),
  fn('SUBSTRING', withOptional(1, p.text, p.int, p.int), forceNullable(varying(0))),
  ...['LEFT', 'RIGHT'].map((name) => fn(name, overload(p.text, p.int), forceNullable(varying(0)))),
  fn('POSITION', withOptional(1, p.text, p.text, p.int), ifArgs(t.int())),
  fn('LOCATE', withOptional(1, p.text, p.text, p.int), ifArgs(t.int())),
  fn('INSTR', withOptional(2, p.text, p.text, p.int, p.int), ifArgs(t.int())),
  fn('OVERLAY', withOptional(1, p.text, p.text, p.int, p.int), joined),
  fn('REPLACE', overload(p.text, p.text, p.text), text),
  fn('TRANSLATE', overload(p.text, p.text, p.text), (args) => t.string(args[0].type.nullable)),
  fn('REPEAT', overload(p.text, p.int), text),
  fn('REVERSE', overload(p.text), anyText),
  ...['LPAD', 'RPAD'].map((name) => fn(name, overload(p.text, p.int, p.text), text)),
  fn('ASCII', overload(p.text), ifArgs(t.int())),
  fn('PRINTF', variadic(p.any, p.text), anyText),
  fn('CHR', overload(p.bigint), anyText),
  fn('SPLIT_INDEX', [overload(p.text, p.text, p.int), overload(p.text, p.int, p.int)], anyText),
  fn('SPLIT', overload(p.text, p.text), ifArgs(t.array(t.string()))),
  fn('STR_TO_MAP', [overload(p.text), overload(p.text, p.text, p.text)], forceNullable(t.map(t.string(), t.string()))),
  fn('STARTSWITH', [overload(p.text, p.text), overload(p.bytes, p.bytes)], ifArgs(t.boolean())),
  fn('ENDSWITH', [overload(p.text, p.text), overload(p.bytes, p.bytes)], ifArgs(t.boolean())),
  { name: 'ELT', resolve: resolveElt },
  fn('REGEXP', overload(p.text, p.text), ifArgs(t.boolean())),
  fn('REGEXP_EXTRACT', withOptional(1, p.text, p.text, p.int), anyText),
  fn('REGEXP_EXTRACT_ALL', withOptional(1, p.text, p.text, p.int), forceNullable(t.array(t.string()))),
  fn('REGEXP_REPLACE', overload(p.text, p.text, p.text), text),
  fn('REGEXP_COUNT', overload(p.text, p.text), forceNullable(t.int())),
  fn('REGEXP_INSTR', overload(p.text, p.text), forceNullable(t.int())),
  fn('REGEXP_SUBSTR', overload(p.text, p.text), anyText),
  // Flink declares BINARY without a length; the value is never cut.
  fn('ENCODE', overload(p.text, p.text), forceNullable({ kind: 'BINARY', length: 1, nullable: true })),
  fn('DECODE', overload(p.bytes, p.text), anyText),
  fn('TO_BASE64', [overload(p.text), overload(p.bytes)], text),
  fn('FROM_BASE64', [overload(p.text), overload(p.bytes)], text),
  ...hashes.map(([name, length]) => fn(name, [overload(p.text), overload(p.bytes)], ifArgs(t.char(length)))),
  fn('SHA2', [overload(p.text, p.int), overload(p.bytes, p.int)], ifArgs(t.varchar(128))),
  fn('PARSE_URL', withOptional(1, p.text, p.text, p.text), anyText),
  fn('URL_ENCODE', overload(p.text), anyText),
  fn('URL_DECODE', overload(p.text), anyText),
  ...['IS_ALPHA', 'IS_DECIMAL', 'IS_DIGIT'].map((name) => fn(name, [overload(p.text), overload(p.numeric)], never(t.boolean()))),
]
