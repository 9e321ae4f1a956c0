// Statements: which one it is, and the small ones themselves.
import type { QualifiedName, Query, Statement } from './ast.ts'
import type { Cursor } from './cursor.ts'
import { parseAlter, parseCreate, parseDrop, parseReplace } from './parseDdl.ts'
import { atQuery, parseHints, parseQuery } from './parseQueries.ts'

const notSupported: Record<string, string> = {
  UPDATE: 'Write the changed rows with INSERT INTO a table that has a primary key.',
  DELETE: 'Write retractions with an upsert table, or set a retention on the topic.',
  MERGE: 'Join, and INSERT INTO a table that has a primary key.',
  TRUNCATE: '`millrace topics delete` deletes a topic; `millrace topics alter` sets how long its records are kept.',
  ANALYZE: 'Statistics are kept without it.',
  CALL: 'There are no procedures.',
  LOAD: 'All functions are loaded.',
  UNLOAD: 'All functions are loaded.',
  ADD: 'Millrace runs functions written in JavaScript or TypeScript.',
  REMOVE: 'Millrace runs functions written in JavaScript or TypeScript.',
  COMPILE: 'Use EXPLAIN to see the plan.',
  STOP: 'Use the command line or the console to stop a job.',
  REPLACE: 'Write DROP TABLE IF EXISTS and then CREATE TABLE … AS.',
}

/** One statement; the cursor stands behind it. */
export function parseStatementAt(p: Cursor): Statement {
  const { start, key } = p.token
  if (atQuery(p) || p.at('(')) return { type: 'query', query: parseQuery(p), span: p.from(start) }
  if (p.at('INSERT')) return insert(p)
  if (p.at('CREATE')) return parseCreate(p)
  if (p.at('REPLACE')) return parseReplace(p)
  if (p.at('DROP')) return parseDrop(p)
  if (p.at('ALTER')) return parseAlter(p)
  if (p.at('EXECUTE')) return execute(p)
  if (p.at('BEGIN') || p.at('STATEMENT')) return statementSet(p)
  if (p.at('EXPLAIN')) return explain(p)
  if (p.at('DESCRIBE') || p.at('DESC')) return describe(p)
  if (p.at('SHOW')) return show(p)
  if (p.at('SET')) return set(p)
  if (p.accept('RESET')) {
    const setting = atEnd(p) ? {} : { key: settingKey(p) }
    return { type: 'reset', ...setting, span: p.from(start) }
  }
  if (p.accept('USE')) {
    const catalog = p.accept('CATALOG')
    if (p.at('MODULES')) throw p.notSupported('USE MODULES', 'All functions are loaded.')
    return {
      type: 'use',
      name: p.qualifiedName(catalog ? 'a name of a catalog' : 'a name of a database'),
      ...(catalog && { catalog }),
      span: p.from(start),
    }
  }
  const instead = p.token.kind === 'word' ? notSupported[key] : undefined
  throw instead ? p.notSupported(key, instead) : p.fail()
}

function insert(p: Cursor): Statement {
  const { start } = p.next()
  const overwrite = p.accept('OVERWRITE')
  if (!overwrite) p.expect('INTO')
  const table = p.qualifiedName('a name of a table')
  const hints = parseHints(p)
  if (p.at('PARTITION')) throw p.notSupported('PARTITION in INSERT', 'Select the partition columns with the others.')
  // `INSERT INTO t (a, b) SELECT …` against `INSERT INTO t (SELECT …)`.
  const following = p.peek()
  const namesColumns = p.at('(') && following.key !== '(' && !['SELECT', 'WITH', 'VALUES', 'TABLE'].includes(following.key)
  const columns = namesColumns ? p.names() : []
  const query: Query = parseQuery(p)
  return { type: 'insert', overwrite, table, columns, query, hints, span: p.from(start) }
}

/** EXECUTE STATEMENT SET BEGIN …; …; END, or EXECUTE INSERT …. */
function execute(p: Cursor): Statement {
  const { start } = p.next()
  if (p.at('PLAN')) throw p.notSupported('EXECUTE PLAN', 'Run the statement itself.')
  const statement = p.at('STATEMENT') ? statementSet(p) : p.at('INSERT') ? insert(p) : undefined
  if (!statement) throw p.fail()
  return { ...statement, span: p.from(start) }
}

/** STATEMENT SET BEGIN …; END, or the older BEGIN STATEMENT SET; …; END. */
function statementSet(p: Cursor): Statement {
  const { start } = p.token
  if (p.accept('BEGIN')) {
    p.expect('STATEMENT', 'SET')
    p.accept(';')
  } else p.expect('STATEMENT', 'SET', 'BEGIN')
  const inserts: Statement[] = []
  do {
    if (!p.at('INSERT')) throw p.fail()
    inserts.push(insert(p))
    p.expect(';')
  } while (!p.accept('END'))
  return { type: 'statementSet', inserts, span: p.from(start) }
}

const explainDetails = ['ESTIMATED_COST', 'CHANGELOG_MODE', 'JSON_EXECUTION_PLAN', 'PLAN_ADVICE']

function explain(p: Cursor): Statement {
  const { start } = p.next()
  const details: string[] = []
  if (p.accept('PLAN')) p.expect('FOR')
  else if (explainDetails.some((detail) => p.at(detail))) {
    p.list(() => {
      // As in Flink none comes twice.
      const detail = explainDetails.find((word) => !details.includes(word) && p.accept(word))
      if (!detail) throw p.fail()
      details.push(detail)
    })
  }
  const isExplainable = atQuery(p) || p.atAny('(', 'INSERT', 'STATEMENT', 'EXECUTE', 'CREATE')
  if (!isExplainable) throw p.fail()
  return { type: 'explain', details, statement: parseStatementAt(p), span: p.from(start) }
}

/** What has no DESCRIBE, and where what it would say is found. */
const describable: Readonly<Record<string, string>> = {
  CATALOG: 'There is one catalog; SHOW DATABASES lists what is in it.',
  DATABASE: 'SHOW TABLES FROM name lists what is in it: a database has nothing else.',
  FUNCTION: 'SHOW FUNCTIONS lists them; docs/sql/functions describes each of the built-in ones.',
  JOB: '`millrace queries` lists what runs, `millrace why QUERY` says how it does.',
  MODEL: 'There are no models.',
}

function describe(p: Cursor): Statement {
  const { start } = p.next()
  const following = p.peek()
  if (
    Object.hasOwn(describable, p.token.key) &&
    (following.kind === 'word' || following.kind === 'quoted' || following.kind === 'string')
  ) {
    throw p.notSupported(`DESCRIBE ${p.token.key}`, describable[p.token.key])
  }
  const extended = p.accept('EXTENDED')
  return { type: 'describe', name: p.qualifiedName('a name of a table'), extended, span: p.from(start) }
}

const showable = [
  'TABLES',
  'VIEWS',
  'DATABASES',
  'CATALOGS',
  'FUNCTIONS',
  'COLUMNS',
  'PARTITIONS',
  'JOBS',
  'MODULES',
  'JARS',
  'PROCEDURES',
  'MODELS',
]

function show(p: Cursor): Statement {
  const { start } = p.next()
  const what = showWhat(p)
  let name: QualifiedName | undefined
  if (what.startsWith('CREATE ')) name = p.qualifiedName(`a name of a ${what.slice('CREATE '.length).toLowerCase()}`)
  else if (what === 'PARTITIONS') name = p.qualifiedName('a name of a table')
  else if (what === 'COLUMNS') {
    if (!p.accept('FROM')) p.expect('IN')
    name = p.qualifiedName('a name of a table')
  } else if (what.endsWith('S') && (p.accept('FROM') || p.accept('IN'))) name = p.qualifiedName('a name of a database')
  const notLike = p.at('NOT') && ['LIKE', 'ILIKE'].includes(p.peek().key)
  if (notLike) p.next()
  const ignoresCase = p.accept('ILIKE')
  const like = ignoresCase || p.accept('LIKE') ? p.string() : undefined
  const optional = {
    ...(like !== undefined && { like }),
    ...(notLike && { notLike }),
    ...(ignoresCase && { ignoresCase }),
    ...(name && { name }),
  }
  return { type: 'show', what, ...optional, span: p.from(start) }
}

function showWhat(p: Cursor): string {
  if (p.accept('CREATE')) {
    if (p.accept('MATERIALIZED')) {
      p.expect('TABLE')
      return 'CREATE MATERIALIZED TABLE'
    }
    if (!p.atAny('TABLE', 'VIEW', 'DATABASE', 'CATALOG', 'FUNCTION', 'MODEL')) throw p.fail()
    return `CREATE ${p.next().key}`
  }
  if (p.accept('MATERIALIZED')) {
    p.expect('TABLES')
    return 'MATERIALIZED TABLES'
  }
  if (p.accept('CURRENT')) {
    if (!p.atAny('DATABASE', 'CATALOG')) throw p.fail()
    return `CURRENT ${p.next().key}`
  }
  if (p.acceptAll('USER', 'FUNCTIONS')) return 'USER FUNCTIONS'
  if (p.acceptAll('FULL', 'MODULES')) return 'FULL MODULES'
  const what = showable.find((word) => p.accept(word))
  if (!what) throw p.fail()
  return what
}

const SETTING_KEY = "a key such as 'table.local-time-zone'"

/** SET and RESET may stand alone. */
function atEnd(p: Cursor): boolean {
  p.wanted(SETTING_KEY)
  return p.token.kind === 'end'
}

function settingKey(p: Cursor): string {
  if (p.token.kind === 'string') return p.string()
  throw p.fail(SETTING_KEY, "Keys and values stand in quotes: SET 'table.exec.state.ttl' = '1 h'.")
}

/** SET 'key' = 'value', or SET alone. */
function set(p: Cursor): Statement {
  const { start } = p.next()
  if (atEnd(p)) return { type: 'set', span: p.from(start) }
  const key = settingKey(p)
  p.expect('=')
  return { type: 'set', key, value: p.string(), span: p.from(start) }
}
