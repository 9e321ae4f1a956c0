// The bound plan: every name resolved to an ordinal, every expression typed. What the engine runs.
//
// A plan is plain data (structured-clonable): it crosses to a worker as it is and is printed by EXPLAIN.
//
// Invariants
//   1. A column is an ordinal into the input's `fields`. No text of a user reaches generated code, except as a literal's value.
//   2. `changelog` says what a node may emit: 'append' only +I; 'retract' +I -U +U -D, each retraction with the whole old row;
//      'upsert' +I +U -D without -U, by `upsertKey`.
//   3. An operator's arguments have exactly the types that its function's signature says: casts are explicit in the plan.
import type { Field, SqlType } from '../data/index.ts'
import type { Span } from './ast.ts'
import type { FunctionDef } from './catalog.ts'

export type Expr =
  | { kind: 'column'; index: number; type: SqlType }
  /** `value` as `data/types.ts` defines it for the type; null for NULL. */
  | { kind: 'literal'; value: unknown; type: SqlType }
  /**
   * `fn` is the id of a function of `sql/functions`, operators included ('PLUS', 'EQUALS', 'AND', 'CASE', 'CAST', 'UPPER' …).
   * CASE: args are when1, then1, when2, then2 …, otherwise. `options` holds what is not a value (a unit, JSON behaviours).
   */
  | { kind: 'call'; fn: string; args: Expr[]; type: SqlType; options?: Record<string, unknown>; span?: Span }

/** One aggregate of an aggregation; `args` are ordinals of the input (a calc below computes expressions first). */
export interface AggregateCall {
  /** COUNT, SUM, AVG, MIN, MAX, … ; COUNT(*) is COUNT with no args. */
  fn: string
  args: number[]
  distinct: boolean
  /** Ordinal of a BOOLEAN column: FILTER (WHERE …). */
  filter?: number
  type: SqlType
  argTypes: SqlType[]
  options?: Record<string, unknown>
}

/** `table.exec.emit.*`, in ms of processing time; a delay of 0 is with every row. */
export interface WindowEmit {
  /** How long after a row at most an open window shows it; without, only when it closes. */
  earlyMs?: number
  /** The same for a row that comes after the window has closed; without, it is late. */
  lateMs?: number
  /** How long a closed window still takes rows, in event time. */
  latenessMs: number
}

export interface PlanWindow {
  kind: 'TUMBLE' | 'HOP' | 'CUMULATE' | 'SESSION'
  /** TUMBLE, HOP, CUMULATE: ms, the length of the (largest) window. SESSION: the gap. */
  sizeMs: number
  /** HOP: slide. CUMULATE: step. */
  stepMs?: number
  offsetMs: number
  /** SESSION … PARTITION BY: ordinals of the TVF's input. */
  partitionKeys: number[]
  timeAttribute: 'event' | 'processing'
  /** TIMESTAMP_LTZ rowtime: windows are computed in this zone. UTC otherwise. */
  timeZone: string
}

/** Ordinals of a window's columns; both ends are of the wall clock of its zone. */
export interface WindowColumns {
  start: number
  end: number
  /** Absent for UTC. */
  timeZone?: string
}

export type Changelog = 'append' | 'retract' | 'upsert'

interface Base {
  fields: Field[]
  changelog: Changelog
  /** Ordinals that identify a row of the result, where known. */
  upsertKey?: number[]
  /** The part of the text that asked for this node, for errors that only planning finds. */
  span?: Span
}

export type Plan =
  /** Reads a table's source. `columns`: which of the table's *physical and metadata* columns are decoded, in this order: never decode an unread one. */
  | (Base & {
      node: 'scan'
      table: TableDef
      columns: number[]
      /** For each of `columns`: the field of a ROW column that is read instead of the row, as ordinals from the outside in; [] for the column itself. */
      paths?: number[][]
    })
  | (Base & { node: 'values'; rows: unknown[][] })
  /** Filter and projection in one: rows where `predicate` is TRUE, with `projections`. */
  | (Base & { node: 'calc'; input: Plan; predicate?: Expr; projections: Expr[] })
  /** Assigns watermarks: after each row `expression` (over input columns) is evaluated; the watermark is its maximum so far, per partition. */
  | (Base & { node: 'watermark'; input: Plan; timeColumn: number; expression: Expr; idleTimeoutMs?: number })
  /** Adds window_start, window_end (TIMESTAMP(3) NOT NULL) and window_time to each row; late rows stay. */
  | (Base & { node: 'windowTvf'; input: Plan; window: PlanWindow; timeColumn: number })
  /**
   * GROUP BY a window of `window` over `timeColumn`, and keys. fields = keys, aggregates, then the window columns of `windowColumns`, in that order.
   * If `attached` is set the input already has windows (cascade): ordinals of its window_start and window_end, `timeColumn` is its window_time.
   */
  | (Base & {
      node: 'windowAggregate'
      input: Plan
      window: PlanWindow
      attached?: { start: number; end: number }
      timeColumn: number
      keys: number[]
      aggregates: AggregateCall[]
      windowColumns: ('start' | 'end' | 'time' | 'proctime')[]
      /** GROUP BY TUMBLE(…) and its like, the older form. */
      groupWindow?: true
      /** Results before the window closes, or after it: the result is updating. */
      emit?: WindowEmit
    })
  /** Updating GROUP BY: fields = keys, then aggregates. SELECT DISTINCT has no aggregates. */
  | (Base & { node: 'groupAggregate'; input: Plan; keys: number[]; aggregates: AggregateCall[]; ttlMs?: number; everyChange?: boolean })
  /** Grouping sets: each input row once per set, keys not in the set NULL; adds the grouping id (BIGINT) as last column. */
  | (Base & { node: 'expand'; input: Plan; sets: { nulled: number[]; id: bigint }[] })
  | (Base & { node: 'union'; inputs: Plan[] })
  /** Equi keys by ordinal on each side, plus a condition over left columns then right columns. */
  | (Base & {
      node: 'join'
      /** How long rows of the left and of the right side are kept after they came; below 1 for ever. */
      ttlMs?: [left: number, right: number]
      kind: 'INNER' | 'LEFT' | 'RIGHT' | 'FULL' | 'SEMI' | 'ANTI'
      left: Plan
      right: Plan
      leftKeys: number[]
      rightKeys: number[]
      /** For NOT IN: a NULL on either side is neither match nor no match. */
      nullAware?: boolean
      /** Key pairs that treat NULL = NULL as true (IS NOT DISTINCT FROM). */
      nullSafe?: boolean[]
      condition?: Expr
    })
  | (Base & {
      node: 'intervalJoin'
      kind: 'INNER' | 'LEFT' | 'RIGHT' | 'FULL' | 'SEMI' | 'ANTI'
      left: Plan
      right: Plan
      leftKeys: number[]
      rightKeys: number[]
      leftTime: number
      rightTime: number
      /** right time in [left time + lowerMs, left time + upperMs] */
      lowerMs: number
      upperMs: number
      condition?: Expr
    })
  | (Base & {
      node: 'windowJoin'
      kind: 'INNER' | 'LEFT' | 'RIGHT' | 'FULL' | 'SEMI' | 'ANTI'
      left: Plan
      right: Plan
      leftKeys: number[]
      rightKeys: number[]
      leftWindow: WindowColumns
      rightWindow: WindowColumns
      condition?: Expr
    })
  /** left JOIN right FOR SYSTEM_TIME AS OF left.time; `rightTime` is -1 where that is processing time: the newest version counts. */
  | (Base & {
      node: 'temporalJoin'
      kind: 'INNER' | 'LEFT'
      left: Plan
      right: Plan
      leftKeys: number[]
      rightKeys: number[]
      /** By key: NULL equals NULL (IS NOT DISTINCT FROM). */
      nullSafe?: boolean[]
      leftTime: number
      rightTime: number
      /** A column of the left side, TRUE in rows that it never takes back; where it takes back some and not others. */
      leftStays?: number
      condition?: Expr
      ttlMs?: number
    })
  /** Correlated UNNEST or table function: args over the input's columns; fields = input's, then the function's. */
  | (Base & { node: 'correlate'; kind: 'INNER' | 'LEFT'; input: Plan; fn: string; args: Expr[]; outputFields: Field[]; condition?: Expr })
  | (Base & {
      node: 'over'
      input: Plan
      partitionKeys: number[]
      orderBy: SortKey[]
      frame: OverFrame
      aggregates: AggregateCall[]
      ttlMs?: number
    })
  /** ROW_NUMBER() … WHERE rn between from and to. With `windowed` only rows of the same window are ranked and they are emitted when it closes. */
  | (Base & {
      node: 'topN'
      input: Plan
      partitionKeys: number[]
      orderBy: SortKey[]
      from: number
      to: number
      rankColumn: boolean
      ttlMs?: number
      everyChange?: boolean
      windowed?: WindowColumns
      /** Of rows with equal sort keys the one that came last is first (keep-last deduplication in a window). */
      lastOfTies?: boolean
    })
  | (Base & {
      node: 'deduplicate'
      input: Plan
      keys: number[]
      timeColumn: number
      keep: 'first' | 'last'
      processingTime: boolean
      ttlMs?: number
      /** A temporal join or a window reads it: a row that is replaced by one of the same batch is a version too. */
      everyVersion?: boolean
    })
  | (Base & { node: 'sort'; input: Plan; orderBy: SortKey[] })
  /** Upserts by key become a whole changelog: the last row of each key is kept. */
  | (Base & { node: 'normalize'; input: Plan; keys: number[]; ttlMs?: number; everyVersion?: boolean })
  | (Base & { node: 'limit'; input: Plan; orderBy: SortKey[]; offset: number; limit?: number; ttlMs?: number; everyChange?: boolean })
  | (Base & { node: 'match'; input: Plan; spec: MatchPlan })
  | (Base & { node: 'setOperation'; operator: 'INTERSECT' | 'EXCEPT'; all: boolean; left: Plan; right: Plan; ttlMs?: number })

export type PlanNode = Plan['node']

export interface SortKey {
  column: number
  descending: boolean
  nullsFirst: boolean
}
export interface OverFrame {
  unit: 'ROWS' | 'RANGE'
  /** undefined is UNBOUNDED; rows, or ms for RANGE over time; 0 is CURRENT ROW. */
  preceding?: number
  timeOrdered: boolean
}
/**
 * MATCH_RECOGNIZE … ONE ROW PER MATCH; fields = partition keys, then measures.
 *
 * Conditions and measures are expressions over `values`: what they read from the rows of the match, computed first.
 */
export interface MatchPlan {
  partitionKeys: number[]
  /** The first key is the time attribute, ascending. */
  orderBy: SortKey[]
  /** Names of the pattern's variables; everywhere else a variable is its ordinal here. */
  variables: string[]
  /** One after the other; a variable stands once. */
  pattern: MatchStep[]
  /** By variable; undefined where every row fits. */
  define: ({ values: MatchValue[]; condition: Expr } | undefined)[]
  measures: { values: MatchValue[]; exprs: Expr[] }
  /** Without AFTER MATCH it is NEXT ROW. NO SKIP, all matches, is not to be had in SQL: what the others choose from. */
  afterMatch: { kind: 'NO SKIP' | 'PAST LAST ROW' | 'NEXT ROW' } | { kind: 'FIRST' | 'LAST'; variable: number }
  /** A match is shorter than this. */
  withinMs?: number
}
export interface MatchStep {
  variable: number
  min: number
  /** undefined: no limit. */
  max?: number
  greedy: boolean
}
/** `variables` undefined: rows of all variables. In a condition the row that is being tested counts as a row of its variable. */
export type MatchValue =
  /** A column of the row `offset` rows after the first, or before the last, of these variables; NULL if there is none. */
  | { kind: 'row'; variables?: number[]; from: 'FIRST' | 'LAST'; offset: number; column: number; type: SqlType }
  | { kind: 'aggregate'; variables?: number[]; call: AggregateCall }
  /** In a measure: the event time at which the match was given out, that of the row (or watermark) with which nothing held it back any longer. */
  | { kind: 'time'; type: SqlType }

/** A table as declared, bound: what a scan or a sink needs to know. */
export interface TableDef {
  name: string
  /** All columns in declared order. */
  columns: TableColumn[]
  primaryKey?: number[]
  /** Ordinals into `columns`; `expression` is over all columns (computed ones substituted away: over physical and metadata ones). */
  watermark?: { column: number; expression: Expr; text?: string }
  partitionedBy: number[]
  options: Record<string, string>
  comment?: string
  /** DISTRIBUTED: into buckets, which no connector here has. */
  isDistributed?: true
  /** The text of the declaring statement, for SHOW CREATE TABLE. */
  ddl?: string
  isTemporary?: true
  /** What it took from another table by LIKE, as that was then: an ALTER binds the declaration anew. */
  base?: TableDef
}
export type TableColumn = { name: string; type: SqlType; comment?: string } & (
  | { kind: 'physical' }
  /** Expression over the table's columns (ordinals into `columns`), physical and metadata ones only; `text` as it was written. */
  | { kind: 'computed'; expression: Expr; text?: string }
  | { kind: 'metadata'; key: string; virtual: boolean }
)

/** A query of a statement that EXPLAIN explains: as it is written, and as it runs. */
export interface ExplainedPlan {
  /** The table that it writes to. */
  target?: string
  logical: Plan
  query: Plan
}

/** A statement after binding. */
export type BoundStatement =
  /** `insert` fills the new table: CREATE TABLE … AS. */
  | { type: 'createTable'; table: TableDef; ifNotExists: boolean; insert?: Plan }
  | { type: 'createView'; view: ViewDef }
  | { type: 'createMaterializedTable'; table: MaterializedTableDef; query: Plan }
  | { type: 'query'; query: Plan }
  | { type: 'insert'; table: TableDef; query: Plan }
  | { type: 'statementSet'; inserts: { table: TableDef; query: Plan }[] }
  | { type: 'explain'; details: string[]; plans: ExplainedPlan[] }
  | { type: 'text'; columns: string[]; rows: string[][] }
  | { type: 'createFunction'; definition: FunctionDef }
  | { type: 'alterTable'; from: string; table: TableDef }
  | { type: 'alterView'; from: string; view: ViewDef }
  /** Without value: RESET of the key; of all if `key` is empty. */
  | { type: 'set'; key: string; value?: string }
  | { type: 'drop'; what: string; name: string; ifExists: boolean }
  | { type: 'createDatabase' | 'dropDatabase'; name: string }
  | { type: 'use'; database: string }
  | { type: 'done'; message: string }
export interface ViewDef {
  name: string
  fields: Field[]
  /** The text of its query, and the database that plain names in it are of; the default one if absent. */
  sql: string
  database?: string
  isTemporary?: true
}
export interface MaterializedTableDef {
  name: string
  fields: Field[]
  /** Ordinals into `fields`. */
  primaryKey: number[]
  freshnessMs?: number
  options: Record<string, string>
  comment?: string
  /** The text of the declaring statement, for SHOW CREATE. */
  ddl?: string
}
