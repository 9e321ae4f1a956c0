// The errors of the SQL layer. `position` points into the statement's text (for a script: into the whole script).
import { defineErrors, spec, type TextPosition } from '../base/index.ts'
import type { Span } from './ast.ts'

const user = { kind: 'user', httpStatus: 400, retry: 'never' } as const
const listed = (items: string[], countMax = 8): string => {
  const shown = items.slice(0, countMax)
  if (items.length > countMax) return `${shown.join(', ')} …`
  return shown.length > 1 ? `${shown.slice(0, -1).join(', ')} or ${shown.at(-1)}` : (shown[0] ?? 'nothing')
}

export const sqlErrors = defineErrors({
  // ---- parser
  SQL_SYNTAX: spec<{ found: string; expected: string[]; nearest?: string; written?: string; advice?: string; position: TextPosition }>({
    ...user,
    message: (p) => `line ${p.position.line}, column ${p.position.column}: found ${p.found}, expected ${listed(p.expected)}`,
    hint: (p) =>
      p.advice ??
      (p.nearest ? `Did you mean ${p.nearest}${p.written ? ` instead of ${p.written}` : ''}?` : 'Correct the text at this position.'),
  }),
  SQL_RESERVED_WORD: spec<{ word: string; expected: string[]; position: TextPosition }>({
    ...user,
    message: (p) => `line ${p.position.line}, column ${p.position.column}: ${p.word} is a reserved word, expected ${listed(p.expected)}`,
    hint: (p) => `If it is meant as a name, write it in backquotes: \`${p.word}\`.`,
  }),
  SQL_TEXT_UNTERMINATED: spec<{ what: string; closing: string; position: TextPosition }>({
    ...user,
    message: (p) => `line ${p.position.line}, column ${p.position.column}: this ${p.what} never ends`,
    hint: (p) => `Close it with ${p.closing}.`,
  }),
  SQL_LITERAL_INVALID: spec<{ what: string; text: string; reason: string; position: TextPosition }>({
    ...user,
    message: (p) => `line ${p.position.line}, column ${p.position.column}: ${p.text} is no valid ${p.what}`,
    hint: (p) => p.reason,
  }),
  SQL_TYPE_UNKNOWN: spec<{ name: string; nearest?: string; position: TextPosition }>({
    ...user,
    message: (p) => `line ${p.position.line}, column ${p.position.column}: unknown type ${p.name}`,
    hint: (p) =>
      p.nearest ? `Did you mean ${p.nearest}?` : 'Use one of Flink’s types, such as STRING, BIGINT, DOUBLE, DECIMAL(p, s), TIMESTAMP(3).',
  }),
  SQL_TYPE_INVALID: spec<{ type: string; reason: string; position: TextPosition }>({
    ...user,
    message: (p) => `line ${p.position.line}, column ${p.position.column}: type ${p.type} is not possible`,
    hint: (p) => p.reason,
  }),
  SQL_NOT_SUPPORTED: spec<{ what: string; instead: string; position?: TextPosition }>({
    ...user,
    message: (p) => `${p.position ? `line ${p.position.line}, column ${p.position.column}: ` : ''}${p.what} is not supported`,
    hint: (p) => p.instead,
  }),
  SQL_TOO_LONG: spec<{ length: number; lengthMax: number }>({
    ...user,
    httpStatus: 413,
    message: (p) => `the SQL text has ${p.length} characters, the limit is ${p.lengthMax}`,
    hint: () => 'Split the script, or send rows through a topic instead of VALUES.',
  }),
  SQL_TOO_DEEP: spec<{ levelsMax: number; position: TextPosition }>({
    ...user,
    message: (p) => `line ${p.position.line}, column ${p.position.column}: nested more than ${p.levelsMax} levels deep`,
    hint: () => 'Split the statement with views or WITH. Chains of AND and OR may have any length.',
  }),
  // ---- scalar functions; `span` is turned into a position by the binder
  SQL_FUNCTION_NOT_FOUND: spec<{ fn: string; nearest?: string; span?: Span; position?: TextPosition }>({
    ...user,
    message: (p) => `there is no function ${p.fn}`,
    hint: (p) => (p.nearest ? `Did you mean ${p.nearest}?` : 'Run SHOW FUNCTIONS to see all.'),
  }),
  SQL_ARGUMENTS_INVALID: spec<{ fn: string; types: string[]; expected: string; span?: Span; position?: TextPosition }>({
    ...user,
    message: (p) => `${p.fn} cannot be applied to (${p.types.join(', ')})`,
    hint: (p) => `Expected: ${p.expected}. CAST(… AS …) changes a type.`,
  }),
  SQL_CAST_INVALID: spec<{ from: string; to: string; span?: Span; position?: TextPosition }>({
    ...user,
    message: (p) => `${p.from} cannot be cast to ${p.to}`,
    hint: () => 'Go through STRING, or use a function that reads the value, such as TO_TIMESTAMP.',
  }),
})
