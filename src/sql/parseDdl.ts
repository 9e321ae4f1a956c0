// CREATE, ALTER and DROP.
import type { AlterAction, ColumnDefinition, CreateTable, Expression, Identifier, OptionEntry, Span, Statement } from './ast.ts'
import type { Cursor } from './cursor.ts'
import { lex } from './lexer.ts'
import { parseExpression } from './parseExpressions.ts'
import { parseQuery } from './parseQueries.ts'
import { parseType } from './parseTypes.ts'

const ifNotExists = (p: Cursor): boolean => p.acceptAll('IF', 'NOT', 'EXISTS')
const ifExists = (p: Cursor): boolean => p.acceptAll('IF', 'EXISTS')

export function parseCreate(p: Cursor): Statement {
  const { start } = p.next()
  if (p.acceptAll('OR', 'REPLACE', 'TABLE')) return replaceTable(p, start, 'or create')
  // As in Flink it is made, or changed in place: so is every CREATE MATERIALIZED TABLE of a project that is edited.
  if (p.acceptAll('OR', 'ALTER', 'MATERIALIZED', 'TABLE')) return createMaterializedTable(p, start)
  if (p.at('OR')) throw createOr(p)
  const temporary = p.accept('TEMPORARY')
  if (temporary && p.peek().key === 'FUNCTION') p.accept('SYSTEM')
  if (p.accept('TABLE')) return createTable(p, start, temporary)
  if (p.accept('VIEW')) {
    const head = { temporary, ifNotExists: ifNotExists(p), name: p.qualifiedName() }
    const columns = p.at('(') ? p.names() : []
    const comment = parseComment(p)
    p.expect('AS')
    return { type: 'createView', ...head, columns, ...comment, query: parseQuery(p), span: p.from(start) }
  }
  const aggregate = p.at('AGGREGATE') && p.peek().key === 'FUNCTION' && p.accept('AGGREGATE')
  if (p.accept('FUNCTION')) return createFunction(p, start, temporary, aggregate)
  if (!temporary && p.accept('MATERIALIZED')) {
    p.expect('TABLE')
    return createMaterializedTable(p, start)
  }
  if (!temporary && p.accept('DATABASE')) {
    const head = { ifNotExists: ifNotExists(p), name: p.qualifiedName() }
    const comment = parseComment(p)
    const options = p.accept('WITH') ? parseOptions(p) : []
    return { type: 'createDatabase', ...head, ...comment, options, span: p.from(start) }
  }
  if (p.at('CATALOG')) throw p.notSupported('CREATE CATALOG', 'There is one catalog; use CREATE DATABASE.')
  if (p.at('MODEL')) throw p.notSupported('CREATE MODEL', NO_MODELS)
  throw p.fail()
}

const NO_MODELS = 'There are no models; a function in TypeScript may ask one.'

/** REPLACE TABLE … AS */
export function parseReplace(p: Cursor): Statement {
  const { start } = p.next()
  p.expect('TABLE')
  return replaceTable(p, start, 'only')
}

function replaceTable(p: Cursor, start: number, replace: CreateTable['replace']): Statement {
  const statement = createTable(p, start, false)
  if (statement.query === undefined) throw p.fail('AS and a query', 'A table is replaced by what a query gives; else use ALTER TABLE.')
  return { ...statement, replace }
}

/** CREATE OR REPLACE of what is no table, and CREATE OR ALTER of what is no materialized table. */
function createOr(p: Cursor): Error {
  const { key } = p.peek()
  const what = `CREATE OR ${key === 'REPLACE' || key === 'ALTER' ? key : '…'}`
  return p.notSupported(what, 'In a project change the CREATE statement itself; in a script write DROP … IF EXISTS before it.')
}

/** Flink's statement, with a signature: CREATE [AGGREGATE] FUNCTION f (a INT) RETURNS STRING LANGUAGE TYPESCRIPT AS 'f.ts'. */
function createFunction(p: Cursor, start: number, temporary: boolean, aggregate: boolean): Statement {
  const head = { temporary, ifNotExists: ifNotExists(p), name: p.qualifiedName() }
  const signature = p.at('(') ? functionSignature(p, aggregate) : undefined
  if (aggregate && !signature) throw p.fail('the arguments, as in (price DOUBLE)')
  const before = languageOf(p)
  p.expect('AS')
  const target = p.string()
  const language = before ?? languageOf(p)
  if (p.at('USING')) throw p.notSupported('USING JAR', 'Millrace runs functions written in JavaScript or TypeScript.')
  return { type: 'createFunction', ...head, target, ...(language && { language }), ...(signature && { signature }), span: p.from(start) }
}

function languageOf(p: Cursor): string | undefined {
  if (!p.accept('LANGUAGE')) return undefined
  // SCALA is reserved and yet no name here.
  if (p.token.kind !== 'word') throw p.fail('a name of a language')
  return p.next().key
}

function functionSignature(p: Cursor, aggregate: boolean) {
  const columns = (what: string) => {
    p.expect('(')
    const list = p.at(')') ? [] : p.list(() => ({ name: p.name(what), type: parseType(p) }))
    p.expect(')')
    return list
  }
  const params = columns('a name of an argument')
  p.expect('RETURNS')
  const returns = !aggregate && p.accept('TABLE') ? { columns: columns('a name of a column') } : parseType(p)
  return { aggregate, params, returns }
}

// ---------------------------------------------------------------- CREATE TABLE

type TableElements = Pick<CreateTable, 'columns' | 'watermark' | 'primaryKey' | 'constraint'>

function createTable(p: Cursor, start: number, temporary: boolean): CreateTable & { span: Span } {
  const head = { temporary, ifNotExists: ifNotExists(p), name: p.qualifiedName() }
  const elements: TableElements = { columns: [] }
  const order = p.at('(') && isListOfNames(p) ? p.names() : undefined
  if (order === undefined && p.accept('(')) {
    p.list(() => tableElement(p, elements, false))
    p.expect(')')
  }
  const comment = parseComment(p)
  const distribution = parseDistribution(p)
  const partitionedBy = p.acceptAll('PARTITIONED', 'BY') ? p.names() : []
  const options = p.accept('WITH') ? parseOptions(p) : []
  const like = p.accept('LIKE') ? parseLike(p) : undefined
  const query = p.accept('AS') ? parseQuery(p) : undefined
  if (order !== undefined && query === undefined) throw p.fail('AS and a query', 'Names without types are columns of a query.')
  const rest = { ...(distribution && { distribution }), ...(like && { like }), ...(query && { query }), ...(order && { order }) }
  return { type: 'createTable', ...head, ...elements, partitionedBy, ...comment, options, ...rest, span: p.from(start) }
}

/** (a, b) and not (a INT, …). */
const isListOfNames = (p: Cursor): boolean => p.peek(1).key !== ')' && (p.peek(2).key === ',' || p.peek(2).key === ')')

/** DISTRIBUTED [BY [HASH | RANGE] (columns)] [INTO n BUCKETS], with one of the two. */
function parseDistribution(p: Cursor): CreateTable['distribution'] {
  const { start } = p.token
  if (!p.accept('DISTRIBUTED')) return undefined
  if (!p.atAny('BY', 'INTO')) throw p.fail('BY or INTO')
  let columns: Identifier[] = []
  if (p.accept('BY')) {
    if (p.at('HASH') || p.at('RANGE')) p.next()
    columns = p.names()
  }
  if (!p.accept('INTO')) return { columns, span: p.from(start) }
  const bucketCount = p.wholeNumber(2 ** 31 - 1)
  p.expect('BUCKETS')
  return { columns, bucketCount, span: p.from(start) }
}

function refuseDistribution(p: Cursor): void {
  if (p.at('DISTRIBUTED')) throw p.notSupported('DISTRIBUTED', "Leave it out; a topic's number of partitions is an option of its table.")
}

/** A column, WATERMARK FOR, or PRIMARY KEY. `inAlter` allows FIRST and AFTER behind a column. */
function tableElement(p: Cursor, into: TableElements, inAlter: boolean): void {
  const { start } = p.token
  if (p.at('WATERMARK')) {
    if (into.watermark) throw p.fail('no second watermark')
    into.watermark = watermark(p)
  } else if (p.at('CONSTRAINT') || p.at('PRIMARY') || p.at('UNIQUE')) {
    const constraint = p.accept('CONSTRAINT') ? p.name('a name of a constraint') : undefined
    if (p.at('UNIQUE')) throw p.notSupported('UNIQUE', 'Use PRIMARY KEY (…) NOT ENFORCED.')
    if (into.primaryKey) throw p.fail('no second primary key')
    p.expect('PRIMARY', 'KEY')
    into.primaryKey = p.names()
    notEnforced(p)
    if (constraint) into.constraint = constraint.name
  } else into.columns.push(column(p, start, inAlter))
}

function notEnforced(p: Cursor): void {
  if (p.at('NOT') && p.peek().key === 'ENFORCED') p.expect('NOT', 'ENFORCED')
  else throw p.fail('NOT ENFORCED', 'A key is declared, not checked: write PRIMARY KEY … NOT ENFORCED.')
}

/** Its text is on one line, without comments. */
function writtenExpression(p: Cursor): { expression: Expression; text: string } {
  const expression = parseExpression(p)
  const { start, end } = expression.span
  const source = p.text.slice(start, end)
  const tokens = lex(source).filter((token) => token.end > token.start)
  const text = tokens
    .map((token, i) => (i > 0 && token.start > tokens[i - 1].end ? ' ' : '') + source.slice(token.start, token.end))
    .join('')
  return { expression, text }
}

function watermark(p: Cursor): CreateTable['watermark'] {
  const { start } = p.next()
  p.expect('FOR')
  const column = p.qualifiedName('a name of a column')
  p.expect('AS')
  return { column, ...writtenExpression(p), span: p.from(start) }
}

function column(p: Cursor, start: number, inAlter: boolean): ColumnDefinition {
  const name = p.name('a name of a column')
  if (p.accept('AS')) {
    return { kind: 'computed', name, ...writtenExpression(p), ...parseComment(p), ...place(p, inAlter), span: p.from(start) }
  }
  const type = parseType(p)
  if (p.accept('METADATA')) {
    const from = p.accept('FROM') ? p.string() : undefined
    const virtual = p.accept('VIRTUAL')
    return {
      kind: 'metadata',
      name,
      type,
      ...(from !== undefined && { from }),
      virtual,
      ...parseComment(p),
      ...place(p, inAlter),
      span: p.from(start),
    }
  }
  if (p.accept('CONSTRAINT')) p.name('a name of a constraint')
  const primaryKey = p.acceptAll('PRIMARY', 'KEY')
  if (primaryKey) notEnforced(p)
  return { kind: 'physical', name, type, primaryKey, ...parseComment(p), ...place(p, inAlter), span: p.from(start) }
}

function place(p: Cursor, inAlter: boolean): { place?: 'FIRST' | { after: Identifier } } {
  if (inAlter && p.accept('FIRST')) return { place: 'FIRST' }
  if (inAlter && p.accept('AFTER')) return { place: { after: p.name('a name of a column') } }
  return {}
}

function parseComment(p: Cursor): { comment?: string } {
  return p.accept('COMMENT') ? { comment: p.string() } : {}
}

function parseOptions(p: Cursor): OptionEntry[] {
  p.expect('(')
  const options = p.at(')')
    ? []
    : p.list((): OptionEntry => {
        const { start } = p.token
        const key = p.string("a key such as 'connector'")
        p.expect('=')
        return { key, value: p.string(), span: p.from(start) }
      })
  p.expect(')')
  return options
}

const likeFeatures = ['ALL', 'CONSTRAINTS', 'DISTRIBUTION', 'GENERATED', 'METADATA', 'OPTIONS', 'PARTITIONS', 'WATERMARKS']

function parseLike(p: Cursor): NonNullable<CreateTable['like']> {
  const table = p.qualifiedName('a name of a table')
  const options: NonNullable<CreateTable['like']>['options'] = []
  if (p.accept('(')) {
    do {
      if (!p.atAny('INCLUDING', 'EXCLUDING', 'OVERWRITING')) throw p.fail()
      const mode = p.next().key as 'INCLUDING' | 'EXCLUDING' | 'OVERWRITING'
      const what = likeFeatures.find((feature) => p.accept(feature))
      if (!what) throw p.fail()
      options.push({ mode, what })
    } while (!p.accept(')'))
  }
  return { table, options }
}

function createMaterializedTable(p: Cursor, start: number): Statement {
  const head = { ifNotExists: ifNotExists(p), name: p.qualifiedName() }
  const columns: Identifier[] = []
  let primaryKey: Identifier[] | undefined
  if (p.accept('(')) {
    p.list(() => {
      if (p.atName()) {
        columns.push(p.name())
        return
      }
      const elements: TableElements = { columns: [], ...(primaryKey && { primaryKey }) }
      if (!p.at('CONSTRAINT') && !p.at('PRIMARY')) throw p.fail('a name of a column')
      tableElement(p, elements, false)
      primaryKey = elements.primaryKey
    })
    p.expect(')')
  }
  const comment = parseComment(p)
  refuseDistribution(p)
  const partitionedBy = p.acceptAll('PARTITIONED', 'BY') ? p.names() : []
  const options = p.accept('WITH') ? parseOptions(p) : []
  let freshness: Expression | undefined
  if (p.accept('FRESHNESS')) {
    p.expect('=')
    freshness = parseExpression(p)
  }
  let refreshMode: 'CONTINUOUS' | 'FULL' | undefined
  if (p.accept('REFRESH_MODE')) {
    p.expect('=')
    if (!p.atAny('CONTINUOUS', 'FULL')) throw p.fail()
    refreshMode = p.next().key as 'CONTINUOUS' | 'FULL'
  }
  p.expect('AS')
  const query = parseQuery(p)
  const optional = { ...(primaryKey && { primaryKey }), ...comment, ...(freshness && { freshness }), ...(refreshMode && { refreshMode }) }
  return { type: 'createMaterializedTable', ...head, columns, partitionedBy, options, ...optional, query, span: p.from(start) }
}

// ---------------------------------------------------------------- DROP

export function parseDrop(p: Cursor): Statement {
  const { start } = p.next()
  const temporary = p.accept('TEMPORARY')
  if (temporary && p.peek().key === 'FUNCTION') p.accept('SYSTEM')
  let what: 'TABLE' | 'VIEW' | 'MATERIALIZED TABLE' | 'FUNCTION' | 'DATABASE'
  if (p.accept('MATERIALIZED')) {
    p.expect('TABLE')
    what = 'MATERIALIZED TABLE'
  } else if (p.at('CATALOG')) throw p.notSupported('DROP CATALOG', 'There is one catalog; use DROP DATABASE.')
  else if (p.at('MODEL')) throw p.notSupported('DROP MODEL', NO_MODELS)
  else if (p.atAny('TABLE', 'VIEW', 'FUNCTION', 'DATABASE')) what = p.next().key as typeof what
  else throw p.fail()
  const exists = ifExists(p)
  const name = p.qualifiedName(`a name of a ${what.toLowerCase()}`)
  // RESTRICT is what happens without it.
  const cascade = what === 'DATABASE' && !p.accept('RESTRICT') && p.accept('CASCADE')
  return { type: 'drop', what, temporary, ifExists: exists, name, ...(cascade && { cascade }), span: p.from(start) }
}

// ---------------------------------------------------------------- ALTER

export function parseAlter(p: Cursor): Statement {
  const { start } = p.next()
  const materialized = p.accept('MATERIALIZED')
  if (!p.at('TABLE')) {
    if (materialized || p.token.kind !== 'word') throw p.fail()
    if (p.accept('VIEW')) return alterView(p, start)
    if (p.at('FUNCTION')) throw p.notSupported('ALTER FUNCTION', 'Change its CREATE FUNCTION, or DROP it first.')
    if (p.atAny('DATABASE', 'CATALOG')) throw p.notSupported(`ALTER ${p.token.key}`, 'It has no options that mean something here.')
    throw p.fail()
  }
  p.next()
  const exists = !materialized && ifExists(p)
  const name = p.qualifiedName(materialized ? 'a name of a materialized table' : 'a name of a table')
  const action = materialized ? materializedAction(p) : alterAction(p)
  return { type: 'alterTable', name, ...(exists && { ifExists: true }), action, span: p.from(start) }
}

function alterView(p: Cursor, start: number): Statement {
  const name = p.qualifiedName('a name of a view')
  if (p.acceptAll('RENAME', 'TO')) return { type: 'alterView', name, to: p.qualifiedName(), span: p.from(start) }
  if (p.atAny('SET', 'RESET')) throw p.notSupported(`ALTER VIEW … ${p.token.key}`, 'A view has no options: set them on its tables.')
  p.expect('AS')
  return { type: 'alterView', name, query: parseQuery(p), span: p.from(start) }
}

function materializedAction(p: Cursor): AlterAction {
  if (p.atAny('AS', 'SET', 'RESET', 'ADD', 'MODIFY', 'DROP', 'RENAME'))
    throw p.notSupported(
      `ALTER MATERIALIZED TABLE … ${p.token.key}`,
      'Change its CREATE MATERIALIZED TABLE; millrace diff shows what that changes.',
    )
  if (p.accept('SUSPEND')) return { kind: 'suspend' }
  if (p.accept('RESUME')) {
    const options = p.accept('WITH') ? parseOptions(p) : []
    return { kind: 'resume', ...(options.length > 0 && { options }) }
  }
  if (p.accept('REFRESH')) {
    if (!p.accept('PARTITION')) return { kind: 'refresh' }
    return { kind: 'refresh', partition: partitionSpec(p) }
  }
  throw p.fail()
}

function partitionSpec(p: Cursor): OptionEntry[] {
  p.expect('(')
  const entries = p.list((): OptionEntry => {
    const { start } = p.token
    const key = p.name('a name of a column').name
    p.expect('=')
    return { key, value: p.string(), span: p.from(start) }
  })
  p.expect(')')
  return entries
}

/** What Flink alters of tables in other catalogs, and what stands for it here. */
function refuseAlter(p: Cursor, verb: string): void {
  if (p.at('PARTITION'))
    throw p.notSupported(`${verb} PARTITION`, 'Tables have no partitions of their own; those of a topic: `millrace topics alter`.')
  if (p.at('DISTRIBUTION')) throw p.notSupported(`${verb} DISTRIBUTION`, 'The partitions of a topic: `millrace topics alter`.')
}

function alterAction(p: Cursor): AlterAction {
  if (p.at('COMPACT'))
    throw p.notSupported('COMPACT', "A topic compacts itself: 'cleanup.policy' = 'compact', with `millrace topics alter`.")
  if (p.accept('RENAME')) {
    if (p.accept('TO')) return { kind: 'rename', to: p.qualifiedName() }
    const from = p.name('a name of a column')
    p.expect('TO')
    return { kind: 'renameColumn', from, to: p.name() }
  }
  if (p.accept('SET')) return { kind: 'set', options: parseOptions(p) }
  if (p.accept('RESET')) {
    p.expect('(')
    const keys = p.list(() => p.string("a key such as 'connector'"))
    p.expect(')')
    return { kind: 'reset', keys }
  }
  if (p.atAny('ADD', 'MODIFY')) {
    const kind = p.next().key === 'ADD' ? 'add' : 'modify'
    refuseAlter(p, kind.toUpperCase())
    refuseDistribution(p)
    const elements: TableElements = { columns: [] }
    if (p.accept('(')) {
      p.list(() => tableElement(p, elements, true))
      p.expect(')')
    } else tableElement(p, elements, true)
    return { kind, ...elements }
  }
  if (p.accept('DROP')) {
    refuseAlter(p, 'DROP')
    if (p.acceptAll('PRIMARY', 'KEY')) return { kind: 'dropPrimaryKey' }
    if (p.accept('WATERMARK')) return { kind: 'dropWatermark' }
    if (p.accept('CONSTRAINT')) return { kind: 'dropPrimaryKey', constraint: p.name('a name of a constraint').name }
    return { kind: 'dropColumns', names: p.at('(') ? p.names() : [p.name('a name of a column')] }
  }
  throw p.fail()
}
