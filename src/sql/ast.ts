// The syntax tree: what the parser makes of Flink-dialect SQL, and nothing that needs a catalog to know.
//
// Every node carries a `span`, so that each later error can point at the text.
import type { SqlType } from '../data/index.ts'

/** 0-based UTF-16 offsets into the text, end exclusive. */
export interface Span {
  start: number
  end: number
}
interface Node {
  span: Span
}
export interface Identifier extends Node {
  name: string
}
/** `catalog.db.table` or `t.column.field`. */
export interface QualifiedName extends Node {
  parts: Identifier[]
}

// ---------------------------------------------------------------- expressions

export type BinaryOperator =
  | '+'
  | '-'
  | '*'
  | '/'
  | '%'
  | '||'
  | '='
  | '<>'
  | '<'
  | '<='
  | '>'
  | '>='
  | 'AND'
  | 'OR'
  | 'IS DISTINCT FROM'
  | 'IS NOT DISTINCT FROM'
  | 'OVERLAPS'
export type UnaryOperator =
  | '+'
  | '-'
  | 'NOT'
  | 'IS NULL'
  | 'IS NOT NULL'
  | 'IS TRUE'
  | 'IS NOT TRUE'
  | 'IS FALSE'
  | 'IS NOT FALSE'
  | 'IS UNKNOWN'
  | 'IS NOT UNKNOWN'

export type LiteralValue =
  | { kind: 'null' }
  | { kind: 'boolean'; value: boolean }
  /** The digits as written: '1', '1.50', '1e3'. Exact without an exponent, DOUBLE with one. */
  | { kind: 'number'; text: string }
  | { kind: 'string'; value: string }
  /** X'0AFF' */
  | { kind: 'binary'; value: Uint8Array }
  | { kind: 'date' | 'time' | 'timestamp'; text: string }
  /** INTERVAL '1 02:03' DAY TO MINUTE; `precision` as in DAY(3). */
  | { kind: 'interval'; text: string; negative: boolean; from: TimeUnit; to?: TimeUnit; precision?: number }

export type TimeUnit =
  | 'YEAR'
  | 'QUARTER'
  | 'MONTH'
  | 'WEEK'
  | 'DAY'
  | 'HOUR'
  | 'MINUTE'
  | 'SECOND'
  | 'MILLISECOND'
  | 'MICROSECOND'
  | 'NANOSECOND'
  | 'DOW'
  | 'ISODOW'
  | 'DOY'
  | 'ISOYEAR'
  | 'EPOCH'
  | 'DECADE'
  | 'CENTURY'
  | 'MILLENNIUM'

export type Expression =
  | (Node & { type: 'literal'; value: LiteralValue })
  /** `a`, `t.a`, `t.a.b`: which part is what is for the binder. */
  | (Node & { type: 'column'; name: QualifiedName })
  /** `*` or `t.*`, only in select lists, COUNT(*) and ROW. */
  | (Node & { type: 'star'; qualifier?: QualifiedName })
  /** Field of an expression that is no plain name: `(f(x)).y`, `a[1].b`. */
  | (Node & { type: 'field'; operand: Expression; name: Identifier })
  | (Node & { type: 'element'; operand: Expression; index: Expression })
  | (Node & { type: 'unary'; operator: UnaryOperator; operand: Expression })
  | (Node & { type: 'binary'; operator: BinaryOperator; left: Expression; right: Expression })
  | (Node & { type: 'between'; operand: Expression; low: Expression; high: Expression; negated: boolean; symmetric: boolean })
  | (Node & {
      type: 'like'
      operator: 'LIKE' | 'SIMILAR TO' | 'RLIKE'
      operand: Expression
      pattern: Expression
      escape?: Expression
      negated: boolean
    })
  /** `left` is a `rowValue` for `(a, b) IN …`. */
  | (Node & { type: 'in'; left: Expression; list?: Expression[]; query?: Query; negated: boolean })
  | (Node & { type: 'exists'; query: Query })
  | (Node & { type: 'subquery'; query: Query })
  /** x > ANY (query), x = ALL (query) */
  | (Node & { type: 'quantified'; operator: BinaryOperator; quantifier: 'ANY' | 'ALL'; left: Expression; query: Query })
  | (Node & { type: 'case'; operand?: Expression; branches: { when: Expression; then: Expression }[]; otherwise?: Expression })
  | (Node & { type: 'cast'; operand: Expression; target: TypeNode; safe: boolean })
  /**
   * Every call, also those with a syntax of their own, which become plain arguments:
   * EXTRACT(u FROM x) = EXTRACT('u' as unit, x); FLOOR(x TO u) = FLOOR(x, unit); CEIL alike; TRIM(BOTH a FROM b) = TRIM(keyword, a, b);
   * POSITION(a IN b) = POSITION(a, b); SUBSTRING(a FROM b FOR c) = SUBSTRING(a, b, c); OVERLAY(a PLACING b FROM c FOR d) = OVERLAY(a, b, c, d);
   * JSON_OBJECT and JSON_OBJECTAGG have key, value, key, value …; `x IS JSON OBJECT` is a call named 'IS JSON OBJECT' (IS JSON is 'IS JSON VALUE'),
   * and with NOT a unary NOT around it; TIMESTAMPDIFF(u, a, b) and TIMESTAMPADD have a unit first; CURRENT_DATE, LOCALTIMESTAMP … have no arguments.
   */
  | (Node & FunctionCall)
  /** EXTRACT's and TIMESTAMPDIFF's unit, TRIM's BOTH, a keyword argument. */
  | (Node & { type: 'keyword'; name: string })
  | (Node & { type: 'rowValue'; items: Expression[]; explicit: boolean })
  | (Node & { type: 'array'; items: Expression[] })
  | (Node & { type: 'map'; entries: { key: Expression; value: Expression }[] })
  | (Node & { type: 'namedArgument'; name: Identifier; value: Expression })
  /** TABLE t, as an argument of a table function. */
  | (Node & { type: 'tableArgument'; source: QualifiedName; partitionBy: Expression[]; orderBy: OrderItem[] })
  /** DESCRIPTOR(ts) */
  | (Node & { type: 'descriptor'; columns: Identifier[] })

export interface FunctionCall {
  type: 'call'
  /** Upper case where it was not quoted and has one part. */
  name: QualifiedName
  args: Expression[]
  distinct: boolean
  filter?: Expression
  over?: WindowSpec | Identifier
  /** WITHIN GROUP (ORDER BY …) or an ORDER BY inside the call. */
  orderBy?: OrderItem[]
  /** FIRST_VALUE(x) IGNORE NULLS, JSON_ARRAYAGG(x NULL ON NULL) … as written, upper case. */
  nullTreatment?: 'IGNORE NULLS' | 'RESPECT NULLS'
  /** JSON functions: RETURNING type, behaviours on NULL, EMPTY and ERROR, wrapper. */
  json?: JsonOptions
  /** MATCH_RECOGNIZE: FINAL or RUNNING before the call. */
  matchMode?: 'FINAL' | 'RUNNING'
}
export type JsonBehaviour =
  | { kind: 'NULL' | 'ERROR' | 'TRUE' | 'FALSE' | 'UNKNOWN' | 'EMPTY ARRAY' | 'EMPTY OBJECT' }
  | { kind: 'DEFAULT'; value: Expression }
export interface JsonOptions {
  returning?: TypeNode
  onNull?: 'NULL' | 'ABSENT'
  onEmpty?: JsonBehaviour
  onError?: JsonBehaviour
  wrapper?: 'WITHOUT' | 'CONDITIONAL' | 'UNCONDITIONAL'
  unique?: boolean
}

export interface TypeNode extends Node {
  type: SqlType
}

export interface OrderItem extends Node {
  expression: Expression
  descending: boolean
  nulls?: 'FIRST' | 'LAST'
}

export type FrameBound =
  | { kind: 'UNBOUNDED PRECEDING' | 'UNBOUNDED FOLLOWING' | 'CURRENT ROW' }
  | { kind: 'PRECEDING' | 'FOLLOWING'; value: Expression }
export interface WindowSpec extends Node {
  base?: Identifier
  partitionBy: Expression[]
  orderBy: OrderItem[]
  frame?: { unit: 'ROWS' | 'RANGE'; start: FrameBound; end: FrameBound }
}

// ---------------------------------------------------------------- queries

export type Query =
  | (Node & SelectQuery)
  | (Node & { type: 'setOperation'; operator: 'UNION' | 'INTERSECT' | 'EXCEPT'; all: boolean; left: Query; right: Query } & Tail)
  | (Node & { type: 'values'; rows: Expression[][] } & Tail)

/** What may follow any query; `withItems` precedes it. */
export interface Tail {
  withItems: { name: Identifier; columns: Identifier[]; query: Query }[]
  orderBy: OrderItem[]
  limit?: Expression
  offset?: Expression
}

export interface SelectQuery extends Tail {
  type: 'select'
  hints: Hint[]
  distinct: boolean
  items: SelectItem[]
  from?: TableRef
  where?: Expression
  groupBy?: GroupItem[]
  having?: Expression
  qualify?: Expression
  windows: { name: Identifier; spec: WindowSpec }[]
}
export interface SelectItem extends Node {
  expression: Expression
  alias?: Identifier
}
export type GroupItem =
  | (Node & { type: 'expression'; expression: Expression })
  | (Node & { type: 'sets'; kind: 'GROUPING SETS' | 'ROLLUP' | 'CUBE'; sets: Expression[][] })
/** STATE_TTL('a' = '1d'), LOOKUP(…), OPTIONS('k' = 'v') */
export interface Hint extends Node {
  name: string
  options: Record<string, string>
  args: string[]
}

export interface TableAlias {
  name: Identifier
  columns: Identifier[]
}
export type TableRef =
  | (Node & { type: 'table'; name: QualifiedName; alias?: TableAlias; hints: Hint[]; systemTime?: Expression })
  | (Node & { type: 'subquery'; query: Query; lateral: boolean; alias?: TableAlias })
  /** TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)), LATERAL TABLE(f(x)), UNNEST(a): `call` is the call with its name, also UNNEST's. */
  | (Node & { type: 'function'; call: Expression; lateral: boolean; withOrdinality: boolean; unnest: boolean; alias?: TableAlias })
  | (Node & {
      type: 'join'
      kind: 'INNER' | 'LEFT' | 'RIGHT' | 'FULL' | 'CROSS'
      natural: boolean
      left: TableRef
      right: TableRef
      on?: Expression
      using?: Identifier[]
    })
  | (Node & { type: 'match'; input: TableRef; spec: MatchSpec; alias?: TableAlias })

// ---------------------------------------------------------------- MATCH_RECOGNIZE

export type Pattern =
  | (Node & { type: 'variable'; name: Identifier })
  | (Node & { type: 'sequence'; items: Pattern[] })
  | (Node & { type: 'alternation'; items: Pattern[] })
  | (Node & { type: 'permute'; items: Pattern[] })
  | (Node & { type: 'exclusion'; item: Pattern })
  | (Node & { type: 'quantified'; item: Pattern; min: number; max?: number; greedy: boolean })
export interface MatchSpec extends Node {
  partitionBy: Expression[]
  orderBy: OrderItem[]
  measures: { expression: Expression; alias: Identifier }[]
  rowsPerMatch: 'ONE' | 'ALL'
  afterMatch?: { kind: 'PAST LAST ROW' | 'NEXT ROW' } | { kind: 'FIRST' | 'LAST'; variable: Identifier }
  pattern: Pattern
  within?: Expression
  subsets: { name: Identifier; variables: Identifier[] }[]
  define: { variable: Identifier; condition: Expression }[]
}

// ---------------------------------------------------------------- statements

export interface OptionEntry extends Node {
  key: string
  value: string
}
/** `place`: only in ALTER TABLE … ADD and MODIFY. */
export type ColumnDefinition = { place?: 'FIRST' | { after: Identifier } } & (
  | (Node & { kind: 'physical'; name: Identifier; type: TypeNode; primaryKey: boolean; comment?: string })
  /** `text` is the expression as it was written, unless it has been changed since. */
  | (Node & { kind: 'computed'; name: Identifier; expression: Expression; text?: string; comment?: string })
  | (Node & { kind: 'metadata'; name: Identifier; type: TypeNode; from?: string; virtual: boolean; comment?: string })
)

export interface CreateTable {
  type: 'createTable'
  temporary: boolean
  ifNotExists: boolean
  name: QualifiedName
  columns: ColumnDefinition[]
  watermark?: Node & { column: QualifiedName; expression: Expression; text?: string }
  primaryKey?: Identifier[]
  /** The name of its primary key, where it was given one. */
  constraint?: string
  /** No columns: rows go to any bucket. */
  distribution?: Node & { columns: Identifier[]; bucketCount?: number }
  partitionedBy: Identifier[]
  comment?: string
  options: OptionEntry[]
  /** LIKE other (INCLUDING …) */
  like?: { table: QualifiedName; options: { mode: 'INCLUDING' | 'EXCLUDING' | 'OVERWRITING'; what: string }[] }
  /** CREATE TABLE … AS query */
  query?: Query
  /** … (a, b) AS query: all columns of the query, in this order. */
  order?: Identifier[]
  /** CREATE OR REPLACE TABLE … AS takes the place of a table that may be there, REPLACE TABLE … AS of one that must be. */
  replace?: 'or create' | 'only'
}
export interface CreateMaterializedTable {
  type: 'createMaterializedTable'
  ifNotExists: boolean
  name: QualifiedName
  /** Names only, or empty: the types come from the query. */
  columns: Identifier[]
  primaryKey?: Identifier[]
  partitionedBy: Identifier[]
  comment?: string
  options: OptionEntry[]
  freshness?: Expression
  refreshMode?: 'CONTINUOUS' | 'FULL'
  query: Query
}
export type Statement = Node &
  (
    | CreateTable
    | CreateMaterializedTable
    | {
        type: 'createView'
        temporary: boolean
        ifNotExists: boolean
        name: QualifiedName
        columns: Identifier[]
        comment?: string
        query: Query
      }
    | {
        type: 'createFunction'
        temporary: boolean
        ifNotExists: boolean
        name: QualifiedName
        target: string
        language?: string
        /** What its values are; without it only Flink can run it, which asks the class. */
        signature?: {
          aggregate: boolean
          params: { name: Identifier; type: TypeNode }[]
          /** `columns` of RETURNS TABLE (…). */
          returns: TypeNode | { columns: { name: Identifier; type: TypeNode }[] }
        }
      }
    | { type: 'insert'; overwrite: boolean; table: QualifiedName; columns: Identifier[]; query: Query; hints: Hint[] }
    | { type: 'statementSet'; inserts: Statement[] }
    | { type: 'query'; query: Query }
    | { type: 'explain'; details: string[]; statement: Statement }
    | { type: 'describe'; name: QualifiedName; extended: boolean }
    | { type: 'show'; what: string; like?: string; notLike?: boolean; ignoresCase?: boolean; name?: QualifiedName }
    | { type: 'set'; key?: string; value?: string }
    | { type: 'reset'; key?: string }
    | {
        type: 'drop'
        what: 'TABLE' | 'VIEW' | 'MATERIALIZED TABLE' | 'FUNCTION' | 'DATABASE'
        temporary: boolean
        ifExists: boolean
        name: QualifiedName
        /** DROP DATABASE … CASCADE */
        cascade?: boolean
      }
    | { type: 'alterTable'; name: QualifiedName; ifExists?: boolean; action: AlterAction }
    /** One of both: RENAME TO, or AS. */
    | { type: 'alterView'; name: QualifiedName; to?: QualifiedName; query?: Query }
    | { type: 'use'; name: QualifiedName; catalog?: boolean }
    | { type: 'createDatabase'; ifNotExists: boolean; name: QualifiedName; comment?: string; options: OptionEntry[] }
  )
export type AlterAction =
  | { kind: 'rename'; to: QualifiedName }
  | { kind: 'set'; options: OptionEntry[] }
  | { kind: 'reset'; keys: string[] }
  | ({ kind: 'add' | 'modify' } & Pick<CreateTable, 'columns' | 'watermark' | 'primaryKey' | 'constraint'>)
  | { kind: 'dropColumns'; names: Identifier[] }
  | { kind: 'renameColumn'; from: Identifier; to: Identifier }
  /** Only if that is its name. */
  | { kind: 'dropPrimaryKey'; constraint?: string }
  | { kind: 'dropWatermark' }
  /** ALTER MATERIALIZED TABLE … SUSPEND | RESUME | REFRESH */
  | { kind: 'suspend' }
  | { kind: 'resume'; options?: OptionEntry[] }
  | { kind: 'refresh'; partition?: OptionEntry[] }
