// Function calls: the plain ones, and those with a syntax of their own (EXTRACT, TRIM, JSON_VALUE …).
import type { Expression, FrameBound, FunctionCall, JsonBehaviour, JsonOptions, OrderItem, QualifiedName, WindowSpec } from './ast.ts'
import type { Cursor } from './cursor.ts'
import { ABOVE_RANGE, parseExpression, parseOrderItems, starOrExpression } from './parseExpressions.ts'
import { atQuery, parseQuery } from './parseQueries.ts'
import { parseType } from './parseTypes.ts'

const timeUnits = [
  ...['YEAR', 'QUARTER', 'MONTH', 'WEEK', 'DAY', 'HOUR', 'MINUTE', 'SECOND', 'MILLISECOND', 'MICROSECOND', 'NANOSECOND'],
  ...['DOW', 'ISODOW', 'DOY', 'ISOYEAR', 'EPOCH', 'DECADE', 'CENTURY', 'MILLENNIUM'],
]

/** A call whose name is read and whose '(' is next. */
export function parseCall(p: Cursor, name: QualifiedName): Expression {
  const { start } = name.span
  p.expect('(')
  const distinct = p.accept('DISTINCT')
  if (!distinct) p.accept('ALL')
  const args = p.at(')') ? [] : p.list(() => argument(p))
  const nullTreatment = nullTreatmentOf(p)
  const orderBy = p.acceptAll('ORDER', 'BY') ? parseOrderItems(p) : undefined
  p.expect(')')
  return withClauses(p, start, { type: 'call', name, args, distinct, ...(nullTreatment && { nullTreatment }), ...(orderBy && { orderBy }) })
}

/** IGNORE NULLS or RESPECT NULLS, behind the arguments or behind the call. */
function nullTreatmentOf(p: Cursor): FunctionCall['nullTreatment'] {
  if (!p.atAny('IGNORE', 'RESPECT') || p.peek().key !== 'NULLS') return undefined
  const treatment = `${p.next().key as 'IGNORE' | 'RESPECT'} NULLS` as const
  p.next()
  return treatment
}

/** What may follow a call: IGNORE NULLS, WITHIN GROUP, FILTER, OVER. */
function withClauses(p: Cursor, start: number, call: FunctionCall): Expression {
  const result = call
  for (;;) {
    const nullTreatment = nullTreatmentOf(p)
    if (nullTreatment) result.nullTreatment = nullTreatment
    else if (p.acceptAll('WITHIN', 'GROUP')) {
      p.expect('(', 'ORDER', 'BY')
      result.orderBy = parseOrderItems(p)
      p.expect(')')
    } else if (p.at('FILTER') && p.peek().key === '(') {
      p.next()
      p.expect('(', 'WHERE')
      result.filter = parseExpression(p)
      p.expect(')')
    } else if (p.accept('OVER')) {
      result.over = p.at('(') ? parseWindowSpec(p) : p.name('a name of a window')
    } else return { ...result, span: p.from(start) }
  }
}

function argument(p: Cursor): Expression {
  const { start } = p.token
  if (p.peek().key !== '=>' || !p.atName()) return argumentValue(p)
  const name = p.name()
  p.next()
  return { type: 'namedArgument', name, value: argumentValue(p), span: p.from(start) }
}

function argumentValue(p: Cursor): Expression {
  const { start, key } = p.token
  if (key === '*') return starOrExpression(p)
  if (key === 'TABLE') return tableArgument(p)
  if (key === 'DESCRIPTOR' && p.peek().key === '(') {
    p.next()
    return { type: 'descriptor', columns: p.names('a name of a column'), span: p.from(start) }
  }
  if (atQuery(p)) {
    const query = parseQuery(p)
    return { type: 'subquery', query, span: p.from(start) }
  }
  return parseExpression(p)
}

function tableArgument(p: Cursor): Expression {
  const { start } = p.next()
  if (p.at('(')) throw p.fail('a name of a table', 'A query stands without TABLE: TUMBLE((SELECT …), …).')
  const source = p.qualifiedName('a name of a table')
  let partitionBy: Expression[] = []
  if (p.acceptAll('PARTITION', 'BY')) {
    if (p.accept('(')) {
      partitionBy = p.list(() => parseExpression(p))
      p.expect(')')
    } else partitionBy = partitionKeys(p)
  }
  const orderBy = p.acceptAll('ORDER', 'BY') ? parseOrderItems(p) : []
  return { type: 'tableArgument', source, partitionBy, orderBy, span: p.from(start) }
}

/** `PARTITION BY a, b, DESCRIPTOR(ts)`: the keys end where something other than a plain column begins. */
function partitionKeys(p: Cursor): Expression[] {
  const keys = [parseExpression(p)]
  while (
    p.at(',') &&
    (p.peek().kind === 'quoted' || (p.peek().kind === 'word' && !p.peek().reserved)) &&
    !['(', '=>'].includes(p.peek(2).key)
  ) {
    p.next()
    keys.push(parseExpression(p))
  }
  return keys
}

// ---------------------------------------------------------------- OVER

export function parseWindowSpec(p: Cursor): WindowSpec {
  const { start } = p.token
  p.expect('(')
  const base = p.atName() ? p.name() : undefined
  const partitionBy = p.acceptAll('PARTITION', 'BY') ? p.list(() => parseExpression(p)) : []
  const orderBy: OrderItem[] = p.acceptAll('ORDER', 'BY') ? parseOrderItems(p) : []
  let frame: WindowSpec['frame']
  if (p.atAny('ROWS', 'RANGE')) {
    const unit = p.next().key as 'ROWS' | 'RANGE'
    if (p.accept('BETWEEN')) {
      const low = frameBound(p)
      p.expect('AND')
      frame = { unit, start: low, end: frameBound(p) }
    } else frame = { unit, start: frameBound(p), end: { kind: 'CURRENT ROW' } }
  }
  p.expect(')')
  return { ...(base && { base }), partitionBy, orderBy, ...(frame && { frame }), span: p.from(start) }
}

function frameBound(p: Cursor): FrameBound {
  if (p.acceptAll('CURRENT', 'ROW')) return { kind: 'CURRENT ROW' }
  const isUnbounded = p.at('UNBOUNDED') && ['PRECEDING', 'FOLLOWING'].includes(p.peek().key)
  if (isUnbounded) p.next()
  const value = isUnbounded ? undefined : parseExpression(p)
  if (!p.atAny('PRECEDING', 'FOLLOWING')) throw p.fail()
  const direction = p.next().key as 'PRECEDING' | 'FOLLOWING'
  return value ? { kind: direction, value } : { kind: `UNBOUNDED ${direction}` }
}

// ---------------------------------------------------------------- calls with a syntax of their own

/** The call at the cursor if its name has a syntax of its own; undefined if it is a plain call. */
export function parseSpecialCall(p: Cursor): Expression | undefined {
  const read = specialCalls[p.token.key]
  if (!read) return undefined
  const { start, end, key } = p.next()
  p.expect('(')
  const call: FunctionCall = {
    type: 'call',
    name: { parts: [{ name: key, span: { start, end } }], span: { start, end } },
    args: [],
    distinct: false,
  }
  read(p, call)
  p.expect(')')
  return withClauses(p, start, call)
}

const specialCalls: Record<string, (p: Cursor, call: FunctionCall) => void> = {
  EXTRACT(p, call) {
    call.args.push(timeUnit(p))
    p.expect('FROM')
    call.args.push(parseExpression(p))
  },
  FLOOR: rounding,
  CEIL: rounding,
  CEILING: rounding,
  TIMESTAMPADD: unitFirst,
  TIMESTAMPDIFF: unitFirst,
  TRIM: trim,
  SUBSTRING(p, call) {
    call.args.push(parseExpression(p))
    if (p.accept('FROM')) {
      call.args.push(parseExpression(p))
      if (p.accept('FOR')) call.args.push(parseExpression(p))
    } else while (p.accept(',')) call.args.push(parseExpression(p))
  },
  POSITION(p, call) {
    call.args.push(parseExpression(p, ABOVE_RANGE))
    p.expect('IN')
    call.args.push(parseExpression(p))
    if (p.accept('FROM')) call.args.push(parseExpression(p))
  },
  OVERLAY(p, call) {
    call.args.push(parseExpression(p))
    if (p.accept('PLACING')) {
      call.args.push(parseExpression(p))
      p.expect('FROM')
      call.args.push(parseExpression(p))
      if (p.accept('FOR')) call.args.push(parseExpression(p))
    } else while (p.accept(',')) call.args.push(parseExpression(p))
  },
  JSON_EXISTS(p, call) {
    jsonInput(p, call)
    const onError = jsonBehaviour(p, ['TRUE', 'FALSE', 'UNKNOWN', 'ERROR'])
    if (onError) {
      p.expect('ERROR')
      call.json = { onError }
    }
  },
  JSON_VALUE(p, call) {
    jsonInput(p, call)
    const json: JsonOptions = {}
    if (p.accept('RETURNING')) json.returning = parseType(p)
    jsonEmptyAndError(p, json, ['NULL', 'ERROR', 'DEFAULT'])
    if (Object.keys(json).length > 0) call.json = json
  },
  JSON_QUERY(p, call) {
    jsonInput(p, call)
    const json: JsonOptions = {}
    if (p.accept('RETURNING')) json.returning = parseType(p)
    const wrapper = jsonWrapper(p)
    if (wrapper) json.wrapper = wrapper
    jsonEmptyAndError(p, json, ['NULL', 'ERROR', 'EMPTY'])
    if (Object.keys(json).length > 0) call.json = json
  },
  JSON_OBJECT(p, call) {
    if (!atNullClause(p) && !p.at(')')) p.list(() => jsonEntry(p, call))
    nullClause(p, call)
    uniqueKeys(p, call)
  },
  JSON_OBJECTAGG(p, call) {
    jsonEntry(p, call)
    nullClause(p, call)
    uniqueKeys(p, call)
  },
  JSON_ARRAY(p, call) {
    if (!atNullClause(p) && !p.at(')')) call.args = p.list(() => parseExpression(p))
    nullClause(p, call)
  },
  JSON_ARRAYAGG(p, call) {
    call.args.push(parseExpression(p))
    if (p.acceptAll('ORDER', 'BY')) call.orderBy = parseOrderItems(p)
    nullClause(p, call)
  },
}

/** ODBC's fraction of a second is a nanosecond, that without its prefix a microsecond. @source Calcite's parser */
const fractionUnits: Record<string, (typeof timeUnits)[number]> = { FRAC_SECOND: 'MICROSECOND', SQL_TSI_FRAC_SECOND: 'NANOSECOND' }

function timeUnit(p: Cursor): Expression {
  const { start, key } = p.token
  const unit = fractionUnits[key] ?? timeUnits.find((name) => key === name || key === `SQL_TSI_${name}`)
  if (!unit) {
    for (const name of timeUnits) p.wanted(name)
    throw p.fail('a unit of time')
  }
  p.next()
  return { type: 'keyword', name: unit, span: p.from(start) }
}

function rounding(p: Cursor, call: FunctionCall): void {
  call.args.push(parseExpression(p))
  if (p.accept('TO')) call.args.push(timeUnit(p))
  else while (p.accept(',')) call.args.push(parseExpression(p))
}

function unitFirst(p: Cursor, call: FunctionCall): void {
  call.args.push(timeUnit(p))
  while (p.accept(',')) call.args.push(parseExpression(p))
}

function trim(p: Cursor, call: FunctionCall): void {
  const { start } = p.token
  const written = ['BOTH', 'LEADING', 'TRAILING'].find((word) => p.accept(word))
  const side: Expression = { type: 'keyword', name: written ?? 'BOTH', span: written ? p.from(start) : { start, end: start } }
  const blank: Expression = { type: 'literal', value: { kind: 'string', value: ' ' }, span: { start, end: start } }
  if (written && p.accept('FROM')) {
    call.args.push(side, blank, parseExpression(p))
    return
  }
  const first = parseExpression(p)
  if (p.accept('FROM')) call.args.push(side, first, parseExpression(p))
  else if (written) throw p.fail()
  else {
    call.args.push(first)
    while (p.accept(',')) call.args.push(parseExpression(p))
  }
}

// ---------------------------------------------------------------- JSON clauses

function jsonInput(p: Cursor, call: FunctionCall): void {
  call.args.push(parseExpression(p))
  p.expect(',')
  call.args.push(parseExpression(p))
}

/** `kind ON`, with what follows ON left to the caller. */
function jsonBehaviour(p: Cursor, kinds: string[]): JsonBehaviour | undefined {
  const kind = kinds.find((word) => p.accept(word))
  if (!kind) return undefined
  let behaviour: JsonBehaviour
  if (kind === 'DEFAULT') behaviour = { kind, value: parseExpression(p) }
  else if (kind === 'EMPTY') {
    if (!p.atAny('ARRAY', 'OBJECT')) throw p.fail()
    behaviour = { kind: p.next().key === 'ARRAY' ? 'EMPTY ARRAY' : 'EMPTY OBJECT' }
  } else behaviour = { kind: kind as 'NULL' | 'ERROR' }
  p.expect('ON')
  return behaviour
}

function jsonEmptyAndError(p: Cursor, json: JsonOptions, kinds: string[]): void {
  for (;;) {
    const behaviour = jsonBehaviour(p, kinds)
    if (!behaviour) return
    if (!json.onEmpty && !json.onError && p.accept('EMPTY')) json.onEmpty = behaviour
    else if (!json.onError) {
      p.expect('ERROR')
      json.onError = behaviour
    } else throw p.fail(')')
  }
}

function jsonWrapper(p: Cursor): JsonOptions['wrapper'] | undefined {
  let wrapper: JsonOptions['wrapper']
  if (p.accept('WITHOUT')) wrapper = 'WITHOUT'
  else if (p.accept('WITH')) {
    wrapper = 'UNCONDITIONAL'
    if (p.accept('CONDITIONAL')) wrapper = 'CONDITIONAL'
    else p.accept('UNCONDITIONAL')
  } else return undefined
  p.accept('ARRAY')
  p.expect('WRAPPER')
  return wrapper
}

/** `[KEY] k VALUE v` or `k : v`. */
function jsonEntry(p: Cursor, call: FunctionCall): void {
  const following = p.peek()
  const nameFollows = ['word', 'quoted', 'string', 'unicode'].includes(following.kind) && following.key !== 'VALUE'
  if (p.at('KEY') && nameFollows) p.next()
  const key = parseExpression(p)
  if (!p.accept(':')) p.expect('VALUE')
  call.args.push(key, parseExpression(p))
}

function atNullClause(p: Cursor): boolean {
  return p.atAny('NULL', 'ABSENT') && p.peek().key === 'ON' && p.peek(2).key === 'NULL'
}

function nullClause(p: Cursor, call: FunctionCall): void {
  if (!atNullClause(p)) return
  call.json = { ...call.json, onNull: p.next().key as 'NULL' | 'ABSENT' }
  p.expect('ON', 'NULL')
}

function uniqueKeys(p: Cursor, call: FunctionCall): void {
  if (!p.atAny('WITH', 'WITHOUT')) return
  const unique = p.next().key === 'WITH'
  p.expect('UNIQUE')
  p.accept('KEYS')
  call.json = { ...call.json, unique }
}
