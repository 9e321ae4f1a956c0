// Random queries: operators of SQL stacked on each other, each over the columns that the ones below it give.
//
// A case is only of use where SQL (or Flink's manual) says what comes out. So
//   1. what depends on the order of rows (FIRST_VALUE, ties of Top-N, ROWS frames) stands only on rows whose order is known: those of one
//      table, filtered and projected. Elsewhere the order is made total by a key, or no such function is used;
//   2. rows are late only where one table is read once: how two inputs meet is nobody's promise;
//   3. nothing may fail for one row (expressions.ts).
// What Flink and Millrace answer differently on purpose (docs/flink-differences.md) is left out.
//
// Longer than other files because each operator is made of any of the others.
import type { Choices } from './choices.ts'
import { type Column, Expressions, type Kind, numeric, sortable } from './expressions.ts'
import { randomTable, type Table } from './tables.ts'

interface Relation {
  /** What stands behind FROM, without an alias: a name, or a query in parentheses. */
  from: string
  columns: Column[]
  isUpdating: boolean
  /** Rows come in the order in which the input has them. */
  isOrdered: boolean
  /** Columns that are unique together. */
  key?: string[]
  /** It uses a name of WITH; or SESSION by several columns, whose parentheses Flink loses in a view. */
  isForNoView: boolean
  /** There are GROUPING SETS in it: Flink finds nothing in a correlated EXISTS over them (docs/flink-differences.md). */
  hasSets?: boolean
}

const comparable = sortable
/** FIRST_VALUE and LAST_VALUE take no others (of text, no CHAR). */
const remembered: readonly Kind[] = ['int', 'decimal', 'bool', 'approx']
const groupable: readonly Kind[] = ['int', 'text', 'decimal', 'bool', 'date', 'timestamp', 'time', 'ltz', 'bytes', 'row']

interface AggregateSetting {
  isOrdered: boolean
  isUpdating: boolean
  /** HOP and CUMULATE: Flink has no FIRST_VALUE and, in HOP, no SUM(DISTINCT) there. */
  isShared?: boolean
}

export class Relations {
  private readonly tables: Table[] = []
  private readonly views: string[] = []
  private readonly withs: string[] = []
  private readonly named: Relation[] = []
  private nameCount = 0
  private columnCount = 0
  private isSingle = false
  private versions?: Table

  private readonly choices: Choices

  constructor(choices: Choices) {
    this.choices = choices
  }

  /** The text of a golden file up to its expectation. */
  text(summary: string): string {
    const { choices } = this
    this.isSingle = choices.chance(0.5)
    const relation = this.relation(choices.between(1, 4))
    const query = this.finalQuery(relation)
    const tables = [...this.tables, ...(this.versions ? [this.versions] : [])]
    const withs = this.withs.length > 0 ? `WITH ${this.withs.join(', ')} ` : ''
    return `-- ${summary}\n${tables.map(({ input }) => input).join('\n')}\n--- sql\n${[
      ...tables.map(({ ddl }) => ddl),
      ...this.views,
      `${withs}${query};`,
    ].join('\n')}\n`
  }

  private finalQuery(relation: Relation): string {
    const { from } = relation
    if (from.startsWith('(') && !this.choices.chance(0.1)) return from.slice(1, -1)
    return `SELECT * FROM ${from}${from.startsWith('(') ? ' AS q' : ''}`
  }

  private column(kind: Kind, expression: string, isTime = false): { item: string; column: Column } {
    const name = `c${++this.columnCount}`
    return { item: `${expression} AS ${name}`, column: { name, kind, isTime } }
  }

  // ---- where relations come from

  private table(): Relation {
    const { choices } = this
    const mayAdd = this.tables.length < (this.isSingle ? 1 : 3)
    let table: Table
    if (this.tables.length > 0 && (!mayAdd || choices.chance(0.4))) table = choices.pick(this.tables)
    else {
      table = choices.span('table', () =>
        randomTable(choices, { name: `t${this.tables.length}`, mayBeLate: this.isSingle && choices.chance(0.6) }),
      )
      this.tables.push(table)
    }
    return { from: table.name, columns: table.columns, isUpdating: false, isOrdered: true, key: ['id'], isForNoView: false }
  }

  private relation(depth: number): Relation {
    return this.choices.span('relation', () => {
      if (depth <= 0) return this.table()
      if (this.named.length > 0 && !this.isSingle && this.choices.chance(0.12)) return this.choices.pick(this.named)
      const kinds = this.isSingle ? this.unary : { ...this.unary, ...this.binary }
      const make = this.choices.pick(Object.values(kinds))
      return this.place(make(depth - 1))
    })
  }

  /** In place, or under a name: as a view or in WITH. */
  private place(relation: Relation, mustBeNamed = false): Relation {
    const { choices } = this
    if (!relation.from.startsWith('(')) return relation
    const how = choices.chance(mustBeNamed ? 1 : 0.3) ? (relation.isForNoView || choices.chance(0.4) ? 'with' : 'view') : 'inline'
    if (how === 'inline') return relation
    const name = `${how === 'view' ? 'v' : 'w'}${++this.nameCount}`
    if (how === 'view') this.views.push(`CREATE TEMPORARY VIEW ${name} AS ${relation.from.slice(1, -1)};`)
    else this.withs.push(`${name} AS ${relation.from}`)
    const placed = { ...relation, from: name, isForNoView: relation.isForNoView || how === 'with' }
    this.named.push(placed)
    return placed
  }

  /** With a time attribute, not updating: a table, or what keeps its time. */
  private timed(depth: number): Relation | undefined {
    const relation = this.relation(depth)
    return !relation.isUpdating && relation.columns.some(({ isTime }) => isTime) ? relation : undefined
  }

  private fromOf(relation: Relation, alias: string): string {
    return `${relation.from} AS ${alias}`
  }

  private where(expressions: Expressions, share = 0.4): string {
    return this.choices.span('where', () => this.choices.maybe(share, () => ` WHERE ${expressions.condition()}`))
  }

  // ---- operators over one relation

  private readonly unary: Record<string, (depth: number) => Relation> = {
    project: (depth) => this.project(this.relation(depth)),
    group: (depth) => this.group(this.relation(depth)),
    groupingSets: (depth) => this.groupingSets(this.relation(depth)),
    distinct: (depth) => this.distinct(this.relation(depth)),
    window: (depth) => this.otherwise(this.timed(depth), (input) => this.windowAggregate(input)),
    window2: (depth) => this.otherwise(this.timed(depth), (input) => this.windowAggregate(input)),
    windowTopN: (depth) => this.otherwise(this.timed(depth), (input) => this.windowTopN(input)),
    over: (depth) => this.otherwise(this.timed(depth), (input) => this.over(input)),
    topN: (depth) => this.topN(this.relation(depth)),
    topN2: (depth) => this.topN(this.relation(depth)),
    limit: (depth) => this.limit(this.relation(depth)),
    deduplicate: (depth) => this.otherwise(this.timed(depth), (input) => this.deduplicate(input)),
    unnest: (depth) => this.unnest(this.relation(depth)),
    match: (depth) => this.otherwise(this.timed(depth), (input) => this.match(input)),
  }

  private readonly binary: Record<string, (depth: number) => Relation> = {
    join: (depth) => this.join(this.relation(depth), this.relation(depth)),
    join2: (depth) => this.join(this.relation(depth), this.relation(depth)),
    semiJoin: (depth) => this.semiJoin(this.relation(depth), this.relation(depth)),
    scalarQuery: (depth) => this.scalarQuery(this.relation(depth), this.relation(depth)),
    intervalJoin: (depth) => this.intervalJoin(depth),
    temporalJoin: (depth) => this.otherwise(this.timed(depth), (input) => this.temporalJoin(input)),
    windowJoin: (depth) => this.windowJoin(depth),
    setOperation: (depth) => this.setOperation(this.relation(depth), this.relation(depth)),
    setOperation2: (depth) => this.setOperation(this.relation(depth), this.relation(depth)),
  }

  /** Where a relation has no time: something that needs none. */
  private otherwise(input: Relation | undefined, make: (input: Relation) => Relation): Relation {
    if (input) return make(input)
    const table = this.table()
    return table.columns.some(({ isTime }) => isTime) ? make(table) : this.project(table)
  }

  private project(input: Relation): Relation {
    const { choices } = this
    const expressions = new Expressions(choices, input.columns)
    const items: string[] = []
    const columns: Column[] = []
    const add = (one: { item: string; column: Column }) => {
      items.push(one.item)
      columns.push(one.column)
      return one.column.name
    }
    const keeps = choices.chance(0.6)
    const key = keeps && input.key ? input.key.map((name) => add(this.column(this.kindOf(input, name), name))) : undefined
    const time = input.columns.find(({ isTime }) => isTime)
    if (time && choices.chance(0.7)) add(this.column('timestamp', time.name, true))
    for (const one of choices.several('item', 1, 4, () => {
      const kind = expressions.kind()
      return this.column(kind, expressions.of(kind, choices.between(1, 3)))
    }))
      add(one)
    const where = this.where(expressions)
    return { ...this.plain(input), from: `(SELECT ${items.join(', ')} FROM ${this.fromOf(input, 'p')}${where})`, columns, key }
  }

  private kindOf(input: Relation, name: string): Kind {
    return input.columns.find((column) => column.name === name)!.kind
  }

  private plain(input: Relation): Relation {
    return {
      from: '',
      columns: [],
      isUpdating: input.isUpdating,
      isOrdered: input.isOrdered,
      isForNoView: input.isForNoView,
      hasSets: input.hasSets,
    }
  }

  private distinct(input: Relation): Relation {
    const { choices } = this
    const columns = this.pickColumns(input, groupable, 1, 2)
    if (columns.length === 0) return this.project(input)
    const made = columns.map(({ kind, name }) => this.column(kind, name))
    const where = this.where(new Expressions(choices, input.columns))
    return {
      ...this.plain(input),
      from: `(SELECT DISTINCT ${made.map(({ item }) => item).join(', ')} FROM ${this.fromOf(input, 'd')}${where})`,
      columns: made.map(({ column }) => column),
      isUpdating: true,
      isOrdered: false,
      key: made.map(({ column }) => column.name),
    }
  }

  private pickColumns(input: Relation, kinds: readonly Kind[], min: number, max: number): Column[] {
    const able = input.columns.filter(({ kind }) => kinds.includes(kind))
    const picked: Column[] = []
    this.choices.several('key', Math.min(min, able.length), Math.min(max, able.length), () => {
      picked.push(this.choices.pick(able.filter((column) => !picked.includes(column))))
    })
    return picked
  }

  // ---- aggregates

  private aggregate(expressions: Expressions, { isOrdered, isUpdating, isShared }: AggregateSetting): { kind: Kind; text: string } {
    const { choices } = this
    const of = (kind: Kind) => expressions.of(kind, choices.between(0, 2))
    const number = () => {
      const kind = expressions.kind(numeric)
      return { kind, text: of(kind) }
    }
    const mostly = (kind: Kind): Kind => (kind === 'approx' ? 'inexact' : kind)
    const ordered: (() => { kind: Kind; text: string })[] = [
      () => ({ kind: 'text', text: `LISTAGG(${of('text')}${choices.maybe(0.5, () => ", '|'")})` }),
      ...(isShared
        ? []
        : (['FIRST_VALUE', 'LAST_VALUE'] as const).map((name) => () => {
            const kind = expressions.kind(remembered)
            return { kind, text: `${name}(${of(kind)})` }
          })),
      () => ({ kind: 'ints', text: `ARRAY_AGG(${of('int')})` }),
    ]
    const any: (() => { kind: Kind; text: string })[] = [
      () => ({ kind: 'int', text: 'COUNT(*)' }),
      () => ({ kind: 'int', text: `COUNT(${of(expressions.kind())})` }),
      () => {
        const { kind, text } = number()
        return { kind, text: `SUM(${text})` }
      },
      ...['MIN', 'MAX'].map((name) => () => {
        const kind = expressions.kind(comparable)
        return { kind, text: `${name}(${of(kind)})` }
      }),
      () => {
        const { kind, text } = number()
        return { kind: mostly(kind), text: `AVG(${text})` }
      },
      () => ({ kind: 'int', text: `COUNT(DISTINCT ${of(expressions.kind(comparable))})` }),
      ...(isShared ? [] : [() => ({ kind: 'int' as const, text: `SUM(DISTINCT ${of('int')})` })]),
      () => ({ kind: 'inexact', text: `${choices.pick(['STDDEV_POP', 'VAR_POP'])}(${of('approx')})` }),
      // Of what cannot be NULL, Flink shows the NULL of a single row as -1.
      () => ({ kind: 'inexact', text: `${choices.pick(['STDDEV_SAMP', 'VAR_SAMP'])}(NULLIF(${of('approx')}, 100e0))` }),
      () => ({ kind: 'multiset', text: `COLLECT(${of(expressions.kind(['int', 'text']))})` }),
    ]
    return choices.span('aggregate', () => {
      const one = choices.pick(isOrdered && !isUpdating ? [...any, ...ordered] : any)()
      const filter = choices.span('filter', () => choices.maybe(0.2, () => ` FILTER (WHERE ${expressions.condition()})`))
      return { kind: one.kind, text: `${one.text}${filter}` }
    })
  }

  private aggregates(input: Relation, isShared = false): { item: string; column: Column }[] {
    const expressions = new Expressions(this.choices, input.columns)
    return this.choices.several('aggregate', 1, 4, () => {
      const { kind, text } = this.aggregate(expressions, { ...input, isShared })
      return this.column(kind, text)
    })
  }

  private group(input: Relation): Relation {
    const { choices } = this
    const expressions = new Expressions(choices, input.columns)
    const keys = choices.several('key', 0, 2, () => {
      const columns = input.columns.filter(({ kind }) => groupable.includes(kind))
      if (columns.length > 0 && !choices.chance(0.25)) {
        const { kind, name } = choices.pick(columns)
        return { ...this.column(kind, name), text: name }
      }
      const kind = expressions.kind(comparable)
      const text = expressions.of(kind, 1)
      return { ...this.column(kind, text), text }
    })
    const aggregates = this.aggregates(input)
    const where = this.where(expressions, 0.3)
    const having = choices.span('having', () =>
      choices.maybe(keys.length > 0 ? 0.25 : 0, () => ` HAVING ${choices.pick(['COUNT(*) > 1', 'MAX(1) = 1', 'COUNT(*) < 3'])}`),
    )
    const by = keys.length > 0 ? ` GROUP BY ${[...new Set(keys.map(({ text }) => text))].join(', ')}${having}` : ''
    const items = [...keys, ...aggregates]
    return {
      ...this.plain(input),
      from: `(SELECT ${items.map(({ item }) => item).join(', ')} FROM ${this.fromOf(input, 'g')}${where}${by})`,
      columns: items.map(({ column }) => column),
      isUpdating: true,
      isOrdered: false,
      key: keys.length > 0 ? keys.map(({ column }) => column.name) : undefined,
    }
  }

  private sets(names: string[]): string {
    const [a, b] = names
    if (names.length === 1) return this.choices.pick([`GROUPING SETS ((${a}), ())`, `ROLLUP (${a})`, `CUBE (${a})`])
    return this.choices.pick([
      `GROUPING SETS ((${a}), (${b}))`,
      `GROUPING SETS ((${a}, ${b}), (${a}), ())`,
      `ROLLUP (${a}, ${b})`,
      `CUBE (${a}, ${b})`,
    ])
  }

  private groupingSets(input: Relation): Relation {
    const { choices } = this
    const keys = this.pickColumns(input, comparable, 1, 2)
    if (keys.length === 0) return this.group(input)
    const names = keys.map(({ name }) => name)
    const made = keys.map(({ kind, name }) => this.column(kind, name))
    const id = this.column('int', choices.pick([`GROUPING_ID(${names.join(', ')})`, `GROUPING(${names[0]})`]))
    const aggregates = this.aggregates({ ...input, isUpdating: true })
    const where = this.where(new Expressions(choices, input.columns), 0.3)
    const items = [...made, id, ...aggregates]
    return {
      ...this.plain(input),
      from: `(SELECT ${items.map(({ item }) => item).join(', ')} FROM ${this.fromOf(input, 'g')}${where} GROUP BY ${this.sets(names)})`,
      columns: items.map(({ column }) => column),
      isUpdating: true,
      isOrdered: false,
      hasSets: true,
      key: [...made, id].map(({ column }) => column.name),
    }
  }

  // ---- windows

  private windowCall(input: Relation, time: string, keys: string[]): { call: string; isShared: boolean; isSession: boolean } {
    const { choices } = this
    const seconds = (text: string) => `INTERVAL '${text}' SECOND`
    const kind = choices.pick(['TUMBLE', 'HOP', 'CUMULATE', 'SESSION'])
    const partition = kind === 'SESSION' && keys.length > 0 ? ` PARTITION BY ${keys.length > 1 ? `(${keys.join(', ')})` : keys[0]}` : ''
    const size = {
      TUMBLE: () => seconds(choices.pick(['5', '10', '3'])),
      HOP: () => choices.pick([`${seconds('5')}, ${seconds('10')}`, `${seconds('2')}, ${seconds('6')}`]),
      CUMULATE: () => choices.pick([`${seconds('5')}, ${seconds('10')}`, `${seconds('3')}, ${seconds('12')}`]),
      SESSION: () => seconds(choices.pick(['2', '4'])),
    }[kind as 'TUMBLE']()
    return {
      call: `TABLE(${kind}(TABLE ${input.from}${partition}, DESCRIPTOR(${time}), ${size}))`,
      isShared: kind === 'HOP' || kind === 'CUMULATE',
      isSession: kind === 'SESSION',
    }
  }

  private timeOf(input: Relation): string {
    return this.choices.pick(input.columns.filter(({ isTime }) => isTime)).name
  }

  private windowAggregate(given: Relation): Relation {
    const { choices } = this
    const input = this.place(given, true)
    const keys = this.pickColumns({ ...input, columns: input.columns.filter(({ isTime }) => !isTime) }, groupable, 0, 2)
    const names = keys.map(({ name }) => name)
    const { call, isShared, isSession } = this.windowCall(input, this.timeOf(input), names)
    const made = keys.map(({ kind, name }) => this.column(kind, name))
    const window = [
      this.column('timestamp', 'window_start'),
      this.column('timestamp', 'window_end'),
      ...(choices.chance(0.5) ? [this.column('timestamp', 'window_time', true)] : []),
    ]
    const hasTime = window.length > 2
    const aggregates = this.aggregates(input, isShared)
    const where = this.where(new Expressions(choices, input.columns), 0.2)
    const sets = names.length > 0 && !isSession && !hasTime && choices.chance(0.2) ? [this.sets(names)] : names
    const by = ['window_start', 'window_end', ...(hasTime ? ['window_time'] : []), ...sets].join(', ')
    const having = choices.maybe(0.15, () => ' HAVING COUNT(*) > 1')
    const isForNoView = input.isForNoView || (isSession && names.length > 1)
    const items = [...window, ...made, ...aggregates]
    return {
      ...this.plain(input),
      from: `(SELECT ${items.map(({ item }) => item).join(', ')} FROM ${call}${where} GROUP BY ${by}${having})`,
      columns: items.map(({ column }) => column),
      isOrdered: false,
      isForNoView,
      hasSets: input.hasSets || sets !== names,
      key: sets === names ? [...window.slice(0, 2), ...made].map(({ column }) => column.name) : undefined,
    }
  }

  private windowTopN(given: Relation): Relation {
    const input = this.place(given, true)
    const keys = this.pickColumns({ ...input, columns: input.columns.filter(({ isTime }) => !isTime) }, groupable, 0, 1)
    const { call } = this.windowCall(
      input,
      this.timeOf(input),
      keys.map(({ name }) => name),
    )
    return this.ranked(input, call, ['window_start', 'window_end', ...keys.map(({ name }) => name)])
  }

  // ---- rows by rank

  private order(input: Relation, columns: Column[]): string {
    const own = this.pickColumns({ ...input, columns }, comparable, 1, 2).map(
      ({ name }) =>
        `${name}${this.choices.pick(['', ' ASC', ' DESC', ' DESC NULLS LAST', ' NULLS LAST', ' NULLS FIRST', ' DESC NULLS FIRST'])}`,
    )
    return own.join(', ')
  }

  /** So that no two rows are equal: columns of the key, or all. */
  private tieBreak(input: Relation): string {
    const names = input.key ?? input.columns.filter(({ kind }) => comparable.includes(kind)).map(({ name }) => name)
    return names.map((name) => `, ${name}`).join('')
  }

  private ranked(input: Relation, source: string, partition: string[]): Relation {
    const { choices } = this
    const isFree = input.isOrdered && !input.isUpdating && choices.chance(0.5)
    const able = (input.key && input.key.length > 0) || isFree || input.columns.every(({ kind }) => comparable.includes(kind))
    if (!able || !input.columns.some(({ kind }) => comparable.includes(kind))) return this.project(input)
    const order = this.order(input, input.columns)
    const by = partition.length > 0 ? `PARTITION BY ${partition.join(', ')} ` : ''
    const rank = choices.pick(['<= 2', '<= 3', '< 3', 'BETWEEN 2 AND 3', 'BETWEEN 1 AND 2'])
    const kept = this.pickColumns(input, comparable, 1, 4)
    const made = kept.map(({ kind, name }) => this.column(kind, name))
    const shown = choices.chance(0.4) ? [this.column('int', 'rn')] : []
    const start = source.startsWith('TABLE(') && choices.chance(0.5) ? [this.column('timestamp', 'window_start')] : []
    const items = [...start, ...made, ...shown]
    return {
      ...this.plain(input),
      from: `(SELECT ${items.map(({ item }) => item).join(', ')} FROM (SELECT *, ROW_NUMBER() OVER (${by}ORDER BY ${order}${isFree ? '' : this.tieBreak(input)}) AS rn FROM ${source}) WHERE rn ${rank})`,
      columns: items.map(({ column }) => column),
      isUpdating: !source.startsWith('TABLE('),
      isOrdered: false,
      key: undefined,
    }
  }

  private topN(input: Relation): Relation {
    return this.ranked(
      input,
      this.fromOf(input, 'n'),
      this.pickColumns(input, groupable, 0, 2).map(({ name }) => name),
    )
  }

  private limit(input: Relation): Relation {
    const { choices } = this
    const isFree = input.isOrdered && !input.isUpdating && choices.chance(0.5)
    if (!isFree && !input.key && !input.columns.every(({ kind }) => comparable.includes(kind))) return this.project(input)
    const columns = input.columns.map((column) => ({ ...column, isTime: false }))
    if (!columns.some(({ kind, name }) => comparable.includes(kind) && !input.columns.some((one) => one.name === name && one.isTime)))
      return this.project(input)
    const offset = choices.maybe(input.isUpdating ? 0 : 0.3, () => ` OFFSET ${choices.between(1, 2)}`)
    return {
      ...this.plain(input),
      from: `(SELECT * FROM ${this.fromOf(input, 'l')} ORDER BY ${this.order(
        input,
        input.columns.filter(({ isTime }) => !isTime),
      )}${isFree ? '' : this.tieBreak(input)} LIMIT ${choices.between(1, 4)}${offset})`,
      columns,
      isUpdating: true,
      isOrdered: false,
      key: input.key,
    }
  }

  private deduplicate(input: Relation): Relation {
    const { choices } = this
    if (!input.isOrdered) return this.project(input)
    const time = this.timeOf(input)
    const keys = this.pickColumns({ ...input, columns: input.columns.filter(({ isTime }) => !isTime) }, groupable, 1, 2)
    const isLast = choices.chance(0.5)
    const by = keys.length > 0 ? `PARTITION BY ${keys.map(({ name }) => name).join(', ')} ` : ''
    const made = input.columns.map(({ kind, name, isTime }) => this.column(kind, name, isTime && !isLast))
    return {
      ...this.plain(input),
      from: `(SELECT ${made.map(({ item }) => item).join(', ')} FROM (SELECT *, ROW_NUMBER() OVER (${by}ORDER BY ${time} ${isLast ? 'DESC' : 'ASC'}) AS rn FROM ${this.fromOf(input, 'f')}) WHERE rn = 1)`,
      columns: made.map(({ column }) => column),
      isUpdating: isLast,
      isOrdered: false,
      key: input.key?.map((name) => made[input.columns.findIndex((column) => column.name === name)].column.name),
    }
  }

  private over(input: Relation): Relation {
    const { choices } = this
    const time = this.timeOf(input)
    const keys = this.pickColumns({ ...input, columns: input.columns.filter(({ isTime }) => !isTime) }, groupable, 0, 2)
    const range = ['', "RANGE BETWEEN INTERVAL '5' SECOND PRECEDING AND CURRENT ROW"]
    const rows = ['ROWS BETWEEN 2 PRECEDING AND CURRENT ROW', 'ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW']
    const frame = choices.pick(input.isOrdered ? [...range, ...rows] : range)
    const expressions = new Expressions(choices, input.columns)
    const calls = choices.several('aggregate', 1, 3, () => {
      const call = (): { kind: Kind; text: string } => {
        const kind = expressions.kind(numeric)
        const value = () => expressions.of(kind, 1)
        const other = expressions.kind(comparable)
        const ordered: { kind: Kind; text: string }[] = [
          { kind, text: `FIRST_VALUE(${value()})` },
          { kind, text: `LAST_VALUE(${value()})` },
        ]
        const any: { kind: Kind; text: string }[] = [
          { kind: 'int', text: 'COUNT(*)' },
          { kind, text: `SUM(${value()})` },
          { kind: 'int', text: `COUNT(${value()})` },
          { kind: 'inexact', text: `AVG(${value()})` },
          { kind, text: `MIN(${value()})` },
          { kind: other, text: `MAX(${expressions.of(other, 0)})` },
          { kind: 'int', text: `COUNT(DISTINCT ${expressions.of(other, 0)})` },
        ]
        return choices.pick(input.isOrdered && frame.startsWith('ROWS') ? [...any, ...ordered] : any)
      }
      const { kind, text } = call()
      return this.column(kind, `${text} OVER w`)
    })
    const kept = input.columns.filter(({ isTime }) => !isTime).map(({ kind, name }) => this.column(kind, name))
    const items = [this.column('timestamp', time, true), ...kept, ...calls]
    const by = keys.length > 0 ? `PARTITION BY ${keys.map(({ name }) => name).join(', ')} ` : ''
    const where = this.where(expressions, 0.2)
    return {
      ...this.plain(input),
      from: `(SELECT ${items.map(({ item }) => item).join(', ')} FROM ${this.fromOf(input, 'o')}${where} WINDOW w AS (${by}ORDER BY ${time} ${frame}))`,
      columns: items.map(({ column }) => column),
      isOrdered: false,
      key: input.key?.every((name) => name !== time && input.columns.some((column) => column.name === name && !column.isTime))
        ? input.key.map(
            (name) => kept[input.columns.filter(({ isTime }) => !isTime).findIndex((column) => column.name === name)].column.name,
          )
        : undefined,
    }
  }

  private unnest(input: Relation): Relation {
    const { choices } = this
    const expressions = new Expressions(choices, input.columns)
    const kind = expressions.kind(['ints', 'texts', 'map'])
    const column = input.columns.find((one) => one.kind === kind)
    const values = column?.name ?? { ints: 'ARRAY[1, 2, 2]', texts: "ARRAY['a', 'b']", map: "MAP['a', 1]" }[kind as 'ints']
    const isLeft = choices.chance(0.4)
    const kept = this.pickColumns(input, groupable, 1, 3).map(({ kind: own, name }) => this.column(own, name))
    const made: { item: string; column: Column }[] =
      kind === 'map' ? [this.column('text', 'x'), this.column('int', 'y')] : [this.column(kind === 'ints' ? 'int' : 'text', 'x')]
    const items = [...kept, ...made]
    const names = kind === 'map' ? 'x, y' : 'x'
    const join = isLeft ? `LEFT JOIN UNNEST(${values}) AS q (${names}) ON TRUE` : `CROSS JOIN UNNEST(${values}) AS q (${names})`
    return {
      ...this.plain(input),
      from: `(SELECT ${items.map(({ item }) => item).join(', ')} FROM ${this.fromOf(input, 'u')} ${join})`,
      columns: items.map(({ column: one }) => one),
      key: undefined,
    }
  }

  private match(input: Relation): Relation {
    const { choices } = this
    if (!input.isOrdered) return this.project(input)
    const time = this.timeOf(input)
    const number = input.columns.find(({ kind }) => kind === 'int')?.name
    if (!number) return this.project(input)
    const keys = this.pickColumns({ ...input, columns: input.columns.filter(({ isTime }) => !isTime) }, groupable, 0, 1)
    const pattern = choices.pick(['E H', 'E H+ J', 'E H* J', 'E H? J', 'E+ H', 'E{2} H', 'E H+? J', 'E H{1,2} J', 'E H{2,}? J'])
    const last = pattern.includes('J') ? 'J' : 'H'
    const defined = (name: string) =>
      `${name} AS ${choices.pick([`${name}.${number} > 0`, `${name}.${number} < 3`, `${name}.${number} IS NOT NULL`])}`
    const define = [
      defined('E'),
      choices.chance(0.5)
        ? defined('H')
        : `H AS ${choices.pick([`H.${number} > LAST(H.${number}, 1)`, `H.${number} > E.${number}`, `SUM(H.${number}) < 10`])}`,
      ...(last === 'J' ? [defined('J')] : []),
    ]
    const skip = choices.pick([' AFTER MATCH SKIP PAST LAST ROW', '', ' AFTER MATCH SKIP TO NEXT ROW', ` AFTER MATCH SKIP TO LAST ${last}`])
    const by = keys.length > 0 ? `PARTITION BY ${keys[0].name} ` : ''
    const measures = [
      this.column('int', `FIRST(E.${number})`),
      this.column('int', `LAST(${last}.${number})`),
      this.column('int', 'COUNT(*)'),
      this.column('int', `SUM(E.${number})`),
      this.column('int', `MAX(H.${number})`),
      ...(choices.chance(0.5) ? [this.column('timestamp', 'MATCH_ROWTIME()', true)] : []),
    ]
    const within = choices.maybe(0.25, () => " WITHIN INTERVAL '8' SECOND")
    const order = input.key ? `${time}, ${input.key.filter((name) => name !== time).join(', ')}`.replace(/, $/, '') : time
    return {
      ...this.plain(input),
      from: `(SELECT * FROM ${input.from} MATCH_RECOGNIZE (${by}ORDER BY ${order} MEASURES ${measures.map(({ item }) => item).join(', ')} ONE ROW PER MATCH${skip} PATTERN (${pattern})${within} DEFINE ${define.join(', ')}) AS mr)`,
      columns: [...keys.map((column) => ({ ...column, isTime: false })), ...measures.map(({ column }) => column)],
      isOrdered: false,
      key: undefined,
    }
  }

  // ---- operators over two relations

  private both(left: Relation, right: Relation): Pick<Relation, 'isForNoView' | 'hasSets'> {
    return { isForNoView: left.isForNoView || right.isForNoView, hasSets: left.hasSets || right.hasSets }
  }

  private of(alias: string, columns: readonly Column[]): Column[] {
    return columns.map((column) => ({ ...column, name: `${alias}.${column.name}` }))
  }

  /** Pairs of columns that may be compared. */
  private equalities(left: Column[], right: Column[], min: number, max: number, isStrict = false): string[] {
    const { choices } = this
    const pairs = left.flatMap((one) =>
      right
        .filter((other) => one.kind === other.kind && groupable.includes(one.kind) && one.kind !== 'row')
        .map((other) => [one, other] as const),
    )
    if (pairs.length === 0) return []
    return choices.several(
      'equality',
      min,
      max,
      () => {
        const [one, other] = choices.pick(pairs)
        return `${one.name} ${isStrict || !choices.chance(0.12) ? '=' : 'IS NOT DISTINCT FROM'} ${other.name}`
      },
      0.3,
    )
  }

  private joined(
    left: Relation,
    right: Relation,
    { isOuter = '', keepsTime = false } = {},
  ): { items: string; columns: Column[]; key?: string[] } {
    const { choices } = this
    const made: { item: string; column: Column; was: string }[] = []
    const add = ({ kind, name, isTime }: Column) =>
      made.push({ ...this.column(kind, name, keepsTime && isTime && name.startsWith('a.')), was: name })
    const able = [...this.of('a', left.columns), ...this.of('b', right.columns)]
    const keyNames = left.key && right.key ? [...left.key.map((name) => `a.${name}`), ...right.key.map((name) => `b.${name}`)] : undefined
    const withKey = choices.chance(0.5)
    if (withKey && keyNames) for (const name of keyNames) add(able.find((column) => column.name === name)!)
    if (keepsTime && choices.chance(0.7)) {
      const time = able.find(({ isTime, name }) => isTime && name.startsWith('a.'))
      if (time && !made.some(({ was }) => was === time.name)) add(time)
    }
    choices.several('item', 1, 4, () => add({ ...choices.pick(able), isTime: false }))
    const key = withKey && keyNames && !isOuter ? made.slice(0, keyNames.length).map(({ column }) => column.name) : undefined
    return { items: made.map(({ item }) => item).join(', '), columns: made.map(({ column }) => column), key }
  }

  private readonly joinKinds = ['JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN'] as const

  private join(left: Relation, right: Relation): Relation {
    const { choices } = this
    const [a, b] = [this.of('a', left.columns), this.of('b', right.columns)]
    const equalities = this.equalities(a, b, 1, 2)
    const kind = equalities.length > 0 ? choices.pick(this.joinKinds) : 'JOIN'
    const other = choices.span('on', () =>
      choices.chance(0.3) || equalities.length === 0 ? [new Expressions(choices, [...a, ...b]).condition(1)] : [],
    )
    const { items, columns, key } = this.joined(left, right, { isOuter: kind === 'JOIN' ? '' : kind })
    const where = this.where(new Expressions(choices, [...a, ...b]), 0.2)
    return {
      from: `(SELECT ${items} FROM ${this.fromOf(left, 'a')} ${kind} ${this.fromOf(right, 'b')} ON ${[...equalities, ...other].join(' AND ')}${where})`,
      columns,
      isUpdating: left.isUpdating || right.isUpdating || kind !== 'JOIN',
      isOrdered: false,
      key,
      ...this.both(left, right),
    }
  }

  private semiJoin(left: Relation, right: Relation): Relation {
    const { choices } = this
    const [a, b] = [this.of('a', left.columns), this.of('b', right.columns)]
    const equalities = this.equalities(a, b, 1, 2, true)
    if (equalities.length === 0) return this.project(left)
    const inner = choices.maybe(0.3, () => ` AND ${new Expressions(choices, b).condition(1)}`)
    const [one, two] = equalities[0].split(' = ')
    const no = choices.maybe(0.4, () => 'NOT ')
    const condition =
      choices.chance(0.5) && !right.hasSets
        ? `${no}EXISTS (SELECT 1 FROM ${this.fromOf(right, 'b')} WHERE ${equalities.join(' AND ')}${inner})`
        : `${one} ${no}IN (SELECT ${two} FROM ${this.fromOf(right, 'b')}${inner.replace(' AND', ' WHERE')})`
    const columns = left.columns.map(({ kind, name }) => this.column(kind, `a.${name}`))
    return {
      from: `(SELECT ${columns.map(({ item }) => item).join(', ')} FROM ${this.fromOf(left, 'a')} WHERE ${condition})`,
      columns: columns.map(({ column }) => column),
      isUpdating: true,
      isOrdered: false,
      key: left.key?.map((name) => columns[left.columns.findIndex((column) => column.name === name)].column.name),
      ...this.both(left, right),
    }
  }

  private scalarQuery(left: Relation, right: Relation): Relation {
    const { choices } = this
    const [a, b] = [this.of('a', left.columns), this.of('b', right.columns)]
    const numbers = b.filter(({ kind }) => kind === 'int')
    const value = choices.pick(['COUNT(*)', ...numbers.flatMap(({ name }) => [`SUM(${name})`, `MAX(${name})`])])
    const equalities = choices.chance(0.5) && !right.hasSets ? this.equalities(a, b, 1, 1, true) : []
    const query = `(SELECT ${value} FROM ${this.fromOf(right, 'b')}${equalities.length > 0 ? ` WHERE ${equalities[0]}` : ''})`
    const kept = left.columns.map(({ kind, name }) => this.column(kind, `a.${name}`))
    const numbersOfLeft = a.filter(({ kind }) => kind === 'int')
    const isCondition = numbersOfLeft.length > 0 && choices.chance(0.5)
    const items = isCondition ? kept : [...kept, this.column('int', query)]
    const where = isCondition ? ` WHERE ${choices.pick(numbersOfLeft).name} ${choices.pick(['<', '>=', '<>'])} ${query}` : ''
    return {
      from: `(SELECT ${items.map(({ item }) => item).join(', ')} FROM ${this.fromOf(left, 'a')}${where})`,
      columns: items.map(({ column }) => column),
      isUpdating: true,
      isOrdered: false,
      key: left.key?.map((name) => kept[left.columns.findIndex((column) => column.name === name)].column.name),
      ...this.both(left, right),
    }
  }

  private intervalJoin(depth: number): Relation {
    const { choices } = this
    const left = this.timed(depth)
    const right = this.timed(depth)
    if (!left || !right) return this.join(left ?? this.relation(0), right ?? this.relation(0))
    const [a, b] = [this.of('a', left.columns), this.of('b', right.columns)]
    const [one, two] = [`a.${this.timeOf(left)}`, `b.${this.timeOf(right)}`]
    const plainOf = (columns: Column[]) => columns.filter(({ isTime }) => !isTime)
    const equalities = this.equalities(plainOf(a), plainOf(b), 1, 2, true)
    const bounds = choices.pick([
      `${two} BETWEEN ${one} - INTERVAL '3' SECOND AND ${one} + INTERVAL '2' SECOND`,
      `${one} >= ${two} AND ${one} < ${two} + INTERVAL '5' SECOND`,
      `${one} = ${two}`,
      `${two} > ${one} AND ${two} <= ${one} + INTERVAL '4' SECOND`,
    ])
    const other = choices.span('on', () =>
      choices.chance(0.2) ? [new Expressions(choices, [...plainOf(a), ...plainOf(b)]).condition(1)] : [],
    )
    const kind = equalities.length > 0 ? choices.pick(this.joinKinds) : 'JOIN'
    const keepsTime = kind === 'JOIN' || kind === 'LEFT JOIN'
    const { items, columns, key } = this.joined(left, right, { isOuter: kind === 'JOIN' ? '' : kind, keepsTime })
    return {
      from: `(SELECT ${items} FROM ${this.fromOf(left, 'a')} ${kind} ${this.fromOf(right, 'b')} ON ${[...equalities, bounds, ...other].join(' AND ')})`,
      columns,
      isUpdating: false,
      isOrdered: false,
      key,
      ...this.both(left, right),
    }
  }

  private temporalJoin(left: Relation): Relation {
    const { choices } = this
    const texts = left.columns.filter(({ kind }) => kind === 'text')
    if (texts.length === 0) return this.project(left)
    this.versions ??= choices.span('table', () => randomTable(choices, { name: 'r', mayBeLate: false, isVersioned: true }))
    const right: Relation = { from: 'r', columns: this.versions.columns, isUpdating: false, isOrdered: true, isForNoView: false }
    const kind = choices.pick(['JOIN', 'LEFT JOIN'])
    const { items, columns } = this.joined(left, right, { isOuter: kind, keepsTime: true })
    return {
      ...this.plain(left),
      from: `(SELECT ${items} FROM ${this.fromOf(left, 'a')} ${kind} r FOR SYSTEM_TIME AS OF a.${this.timeOf(left)} AS b ON a.${choices.pick(texts).name} = b.k)`,
      columns,
      isUpdating: false,
      isOrdered: false,
    }
  }

  private windowJoin(depth: number): Relation {
    const { choices } = this
    const sides = [this.timed(depth), this.timed(depth)]
    const [first, second] = sides
    if (!first || !second) return this.join(first ?? this.relation(0), second ?? this.relation(0))
    const size = choices.pick(["INTERVAL '5' SECOND", "INTERVAL '10' SECOND"])
    const kind = choices.pick(['TUMBLE', 'HOP', 'CUMULATE'])
    const call = (input: Relation) =>
      `(SELECT * FROM TABLE(${kind}(TABLE ${input.from}, DESCRIPTOR(${this.timeOf(input)}), ${kind === 'TUMBLE' ? size : `INTERVAL '5' SECOND, ${size.replace('5', '15')}`})))`
    const [left, right] = [this.place(first, true), this.place(second, true)]
    const [a, b] = [this.of('a', left.columns), this.of('b', right.columns)]
    const plainOf = (columns: Column[]) => columns.filter(({ isTime }) => !isTime)
    const equalities = this.equalities(plainOf(a), plainOf(b), 1, 2, true)
    const on = ['a.window_start = b.window_start', 'a.window_end = b.window_end', ...equalities].join(' AND ')
    const windows = [call(left), call(right)]
    const start = this.column('timestamp', 'a.window_start')
    if (choices.chance(0.3)) {
      const no = choices.maybe(0.5, () => 'NOT ')
      const kept = left.columns.map(({ kind: own, name }) => this.column(own, `a.${name}`))
      return {
        from: `(SELECT ${[start, ...kept].map(({ item }) => item).join(', ')} FROM ${windows[0]} AS a WHERE ${no}EXISTS (SELECT * FROM ${windows[1]} AS b WHERE ${on}))`,
        columns: [start, ...kept].map(({ column }) => column),
        isUpdating: false,
        isOrdered: false,
        ...this.both(left, right),
      }
    }
    const join = choices.pick(this.joinKinds)
    const { items, columns } = this.joined(left, right)
    return {
      from: `(SELECT ${start.item}, ${items} FROM ${windows[0]} AS a ${join} ${windows[1]} AS b ON ${on})`,
      columns: [start.column, ...columns],
      isUpdating: false,
      isOrdered: false,
      ...this.both(left, right),
    }
  }

  private setOperation(left: Relation, right: Relation): Relation {
    const { choices } = this
    const operator = choices.pick(['UNION ALL', 'UNION', 'INTERSECT', 'INTERSECT ALL', 'EXCEPT', 'EXCEPT ALL'])
    const kinds = choices.several('item', 1, 3, () =>
      choices.pick([...new Set(left.columns.map(({ kind }) => kind))].filter((kind) => comparable.includes(kind)).concat('int')),
    )
    const sides = [left, right].map((side, i) => {
      const expressions = new Expressions(choices, side.columns)
      const items = kinds.map((kind) => expressions.of(kind, 1))
      return {
        items,
        text: (made: Column[]) =>
          `SELECT ${items.map((item, at) => `${item} AS ${made[at].name}`).join(', ')} FROM ${this.fromOf(side, i === 0 ? 'x' : 'y')}${this.where(expressions, 0.2)}`,
      }
    })
    const columns = kinds.map((kind) => this.column(kind, '').column)
    const isAll = operator === 'UNION ALL'
    return {
      from: `(${sides[0].text(columns)} ${operator} ${sides[1].text(columns)})`,
      columns,
      isUpdating: !isAll || left.isUpdating || right.isUpdating,
      isOrdered: false,
      key: operator.endsWith('ALL') ? undefined : columns.map(({ name }) => name),
      ...this.both(left, right),
    }
  }
}
