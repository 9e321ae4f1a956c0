// LIKE with a literal pattern: `abc`, `abc%`, `%abc` and `%abc%` need no regular expression, and on bytes no string.
import type { Expr } from '../../sql/index.ts'
import { containsBytes, equalBytes, needleOf, utf8Of } from './bytes.ts'
import type { Value } from './codegen.ts'
import type { EmitContext } from './emit.ts'
import { emit, strictCall } from './emit.ts'
import { likePieces } from './patterns.ts'

type Call = Extract<Expr, { kind: 'call' }>
interface SimplePattern {
  text: string
  /** Something may stand before or after the text. */
  open: { before: boolean; after: boolean }
}

function simplePattern(pattern: string, escapeUnit: string | undefined): SimplePattern | undefined {
  const pieces = likePieces(pattern, escapeUnit)
  const isAny = (piece: unknown) => typeof piece === 'object' && (piece as { wildcard: string }).wildcard === '%'
  const before = pieces.length > 0 && isAny(pieces[0])
  const after = pieces.length > 1 && isAny(pieces[pieces.length - 1])
  const inner = pieces.slice(before ? 1 : 0, after ? -1 : undefined)
  if (inner.length === 0) return { text: '', open: { before, after } }
  if (inner.length > 1 || typeof inner[0] !== 'string') return undefined
  return { text: inner[0], open: { before, after } }
}

const literalText = (expr: Expr | undefined): string | undefined =>
  expr?.kind === 'literal' && typeof expr.value === 'string' ? expr.value : undefined

export function emitLike(expr: Call, context: EmitContext, general: (expr: Call, context: EmitContext) => Value): Value {
  const [operand, patternArg, escapeArg] = expr.args
  const pattern = literalText(patternArg)
  const escapeUnit = literalText(escapeArg)
  if (pattern === undefined || (escapeArg !== undefined && escapeUnit === undefined)) return general(expr, context)
  const simple = simplePattern(pattern, escapeUnit)
  if (simple === undefined) return general(expr, context)
  const { builder } = context
  const { before, after } = simple.open
  const value = emit(operand, context)
  // LIKE '' is TRUE for every text: a quirk of Flink's that is kept.
  if (simple.text === '') return { code: 'true', isNull: value.isNull, safe: true, rep: 'boolean' }
  if (value.utf8 !== undefined) {
    const i = value.utf8
    const bytes = builder.constant(utf8Of(simple.text))
    const length = builder.constant(utf8Of(simple.text).length)
    const equal = builder.import(equalBytes)
    const fits = `e${i}[row] - s${i}[row] ${before || after ? '>=' : '==='} ${length}`
    const code =
      before && after
        ? `${builder.import(containsBytes)}(b${i}, s${i}[row], e${i}[row], ${builder.constant(needleOf(simple.text))})`
        : `(${fits} && ${equal}(b${i}, ${before ? `e${i}[row] - ${length}` : `s${i}[row]`}, ${bytes}))`
    return { code, isNull: value.isNull, safe: true, rep: 'boolean' }
  }
  const text = builder.constant(simple.text)
  const method = before && after ? 'includes' : before ? 'endsWith' : 'startsWith'
  return strictCall([value], 'boolean', false, false, context, ([x]) =>
    before || after ? `${x}.${method}(${text})` : `(${x} === ${text})`,
  )
}
