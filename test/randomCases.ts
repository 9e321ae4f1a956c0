// Random golden cases from a seed: typed rows with NULLs, equal and late times, and queries of every kind over them.
//
// Without Flink they are held against themselves: a crash before every row, and any batching, must give the same rows
// (randomGolden.test.ts). `scripts/goldenRandom.ts` writes them as files without an expectation, which Flink then writes.

import { seededRandom } from '../src/base/index.ts'

/** What a query needs beside the table t: late rows may be there, a second table u, a table of versions r. */
type Setting = 'plain' | 'timed' | 'two' | 'versions'
interface Query {
  sql: string
  setting?: Setting
  view?: string
}

const COLUMNS = 'id INT, k STRING, v INT, d DOUBLE, n DECIMAL(6, 2), s STRING, b BIGINT, ts TIMESTAMP(3)'
const TUMBLE = "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND)"
const HOP = "HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND)"

class Generator {
  readonly random: () => number
  constructor(seed: number) {
    this.random = seededRandom(seed)
  }
  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)]
  }
  int(from: number, to: number): number {
    return from + Math.floor(this.random() * (to - from + 1))
  }
  chance(share: number): boolean {
    return this.random() < share
  }
  maybe(share: number, text: string): string {
    return this.chance(share) ? text : ''
  }
  times(from: number, to: number, make: (i: number) => string): string {
    return Array.from({ length: this.int(from, to) }, (_, i) => make(i)).join(', ')
  }

  rows(count: number, hasLateRows: boolean): string[] {
    let seconds = 0
    return Array.from({ length: count }, (_, id) => {
      seconds += this.random() * 3
      let at = hasLateRows && this.chance(0.3) ? seconds - this.random() * 12 : seconds
      if (this.chance(0.15)) at = Math.round(at)
      const ts = new Date(Date.UTC(2026, 0, 1) + Math.round(at * 1000)).toISOString().replace('T', ' ').replace('Z', '')
      const fields = [`"id":${id}`, `"ts":"${ts}"`]
      const put = (name: string, values: readonly string[]) => {
        if (!this.chance(0.12)) fields.push(`"${name}":${this.pick(values)}`)
      }
      put('k', ['"a"', '"b"', '"c"'])
      put('v', ['-5', '-1', '0', '1', '2', '3', '4', '8', '9'])
      put('d', ['0.5', '-1.25', '2', '3.75', '100', '-0.0'])
      put('n', ['1.50', '2.25', '-3.10', '10.00'])
      put('s', ['"x"', '"y"', '"zz"', '""'])
      put('b', ['1', '2', '3', '9007199254740993', '-7'])
      return `{${fields.join(',')}}`
    })
  }

  number = () => this.pick(['v', 'd', 'n', 'b'])
  column = () => this.pick(['v', 'd', 'n', 'b', 's', 'k'])
  condition = () =>
    this.pick([
      'v > 2',
      'v IS NULL',
      "k = 'a'",
      "k <> 'b'",
      'd < 1',
      'n >= 2',
      "s LIKE '%z%'",
      'v IN (1, 2, 3)',
      'v BETWEEN 0 AND 5',
      'MOD(v, 2) = 0',
      "k = 'a' OR v < 0",
      'NOT (v > 1)',
      'v IS DISTINCT FROM 3',
    ])
  scalar = () =>
    this.pick([
      'v + 1',
      'v * d',
      'COALESCE(v, 0)',
      'UPPER(k)',
      "CASE WHEN v > 2 THEN 'hi' ELSE 'lo' END",
      "k || '-' || s",
      'ABS(v)',
      'b + v',
      'CAST(v AS STRING)',
      'd / 2',
      'IF(v IS NULL, -1, v)',
    ])
  aggregate = () =>
    this.pick([
      'COUNT(*)',
      `COUNT(${this.column()})`,
      `SUM(${this.number()})`,
      `AVG(${this.number()})`,
      `MIN(${this.column()})`,
      `MAX(${this.column()})`,
      `COUNT(DISTINCT ${this.column()})`,
      'SUM(DISTINCT v)',
      `SUM(v) FILTER (WHERE ${this.condition()})`,
      'STDDEV_POP(d)',
      'MAX(ts)',
    ])
  aggregates = (to: number) => this.times(1, to, (i) => `${this.aggregate()} AS a${i}`)
  where = (share: number) => this.maybe(share, ` WHERE ${this.condition()}`)
  window = (): { call: string; key?: string } =>
    this.pick([
      { call: TUMBLE },
      { call: HOP },
      { call: "CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '3' SECOND, INTERVAL '12' SECOND)" },
      { call: "SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '4' SECOND)", key: 'k' },
      { call: "SESSION(TABLE t, DESCRIPTOR(ts), INTERVAL '3' SECOND)" },
    ])
  join = () => this.pick(['JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN'])

  readonly kinds: Record<string, () => Query> = {
    calc: () => ({
      sql: `SELECT ${this.maybe(0.2, 'DISTINCT ')}${this.times(1, 4, (i) => `${this.scalar()} AS c${i}`)} FROM t${this.where(1)}`,
    }),
    group: () => {
      const keys = this.pick([['k'], ['k', 's'], ['MOD(v, 3)'], []])
      const by = keys.length > 0 ? ` GROUP BY ${keys.join(', ')}${this.maybe(0.3, ' HAVING COUNT(*) > 1')}` : ''
      return { sql: `SELECT ${keys.map((key, i) => `${key} AS g${i}, `).join('')}${this.aggregates(4)} FROM t${this.where(0.4)}${by}` }
    },
    groupingSets: () => {
      const sets = this.pick(['GROUPING SETS ((k), (s), ())', 'ROLLUP (k, s)', 'CUBE (k, s)', 'GROUPING SETS (k, s)'])
      return { sql: `SELECT k, s, GROUPING(k) AS gk, ${this.aggregates(3)} FROM t GROUP BY ${sets}` }
    },
    window: () => {
      const { call, key } = this.window()
      const keys = ['window_start', 'window_end', ...(key ? [key] : this.pick([[], ['k'], ['k', 's']]))].join(', ')
      return { sql: `SELECT ${keys}, ${this.aggregates(3)} FROM TABLE(${call})${this.where(0.3)} GROUP BY ${keys}`, setting: 'timed' }
    },
    cascade: () => ({
      view: `CREATE VIEW w AS SELECT window_time AS rt, k, COUNT(*) AS c FROM TABLE(${this.pick([TUMBLE, HOP])}) GROUP BY window_start, window_end, window_time, k;`,
      sql: "SELECT window_start, SUM(c) AS c FROM TABLE(TUMBLE(TABLE w, DESCRIPTOR(rt), INTERVAL '20' SECOND)) GROUP BY window_start, window_end",
      setting: 'timed',
    }),
    windowOfUnion: () => {
      const { call, key } = this.window()
      const keys = ['window_start', 'window_end', ...(key ? [key] : this.pick([[], ['k']]))].join(', ')
      return {
        view: `CREATE VIEW m AS SELECT id, k, v, s, ts FROM t${this.where(0.5)} UNION ALL SELECT id, s AS k, v + 1 AS v, k AS s, ts FROM t${this.where(0.5)}${this.maybe(0.3, " UNION ALL SELECT id, 'x', b.e, s, ts FROM t CROSS JOIN UNNEST(ARRAY[v, 7]) AS b (e)")};`,
        sql: `SELECT ${keys}, COUNT(*) AS n, SUM(v) AS sv, LISTAGG(CAST(id AS STRING)) AS ids FROM TABLE(${call.replace('TABLE t', 'TABLE m')}) GROUP BY ${keys}`,
        setting: 'timed',
      }
    },
    lastOfUnion: () => ({
      view: 'CREATE VIEW m AS SELECT id, k, v, ts FROM t UNION ALL SELECT id, s AS k, id AS v, ts FROM t;',
      sql: `SELECT ${this.pick(['FIRST_VALUE(v)', 'LISTAGG(CAST(v AS STRING))', 'LAST_VALUE(v)'])} AS a FROM ${this.pick(['m', '(SELECT k, COUNT(*) AS v FROM m GROUP BY k)', '(SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS rn FROM m) WHERE rn = 1)'])}`,
      setting: 'timed',
    }),
    selfIntervalJoin: () => ({
      sql: `SELECT a.id, b.id AS id2 FROM t a ${this.join()} t b ON a.k = b.k AND ${this.pick(["b.ts BETWEEN a.ts - INTERVAL '3' SECOND AND a.ts + INTERVAL '2' SECOND", "a.ts >= b.ts AND a.ts < b.ts + INTERVAL '5' SECOND", 'a.ts = b.ts'])}`,
      setting: 'timed',
    }),
    selfWindowJoin: () => ({
      sql: `SELECT a.id, b.id AS id2, a.window_start FROM (SELECT * FROM TABLE(${TUMBLE})) a ${this.join()} (SELECT * FROM TABLE(${TUMBLE}) WHERE v > 1) b ON a.k = b.k AND a.window_start = b.window_start AND a.window_end = b.window_end`,
      setting: 'timed',
    }),
    windowOfPastTime: () => {
      const window = this.pick([
        "TUMBLE(ts, INTERVAL '10' SECOND)",
        "HOP(ts, INTERVAL '5' SECOND, INTERVAL '10' SECOND)",
        "SESSION(ts, INTERVAL '4' SECOND)",
      ])
      const source = this.pick([
        '(SELECT a.ts, a.k, b.v FROM t a JOIN t b ON a.k = b.k)',
        '(SELECT ts, k, MAX(v) AS v FROM t GROUP BY ts, k)',
        't WHERE k IN (SELECT k FROM t WHERE v > 2)',
      ])

      return { sql: `SELECT k, COUNT(*) AS n, SUM(v) AS s FROM ${source} GROUP BY k, ${window}`, setting: 'timed' }
    },
    windowTopN: () => ({
      sql: `SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, k ORDER BY ${this.pick(['v, id', 'd DESC, id', 'ts, id'])}) AS rn FROM TABLE(${this.pick([TUMBLE, HOP])})) WHERE rn <= ${this.int(1, 3)}`,
      setting: 'timed',
    }),
    over: () => {
      const frame = this.pick([
        '',
        'ROWS BETWEEN 2 PRECEDING AND CURRENT ROW',
        "RANGE BETWEEN INTERVAL '5' SECOND PRECEDING AND CURRENT ROW",
      ])
      const call = () =>
        this.pick([`SUM(${this.number()})`, 'COUNT(*)', `MAX(${this.column()})`, `FIRST_VALUE(${this.column()})`, 'COUNT(DISTINCT s)'])
      return {
        sql: `SELECT id, k, ${this.times(1, 3, (i) => `${call()} OVER w AS a${i}`)} FROM t WINDOW w AS (PARTITION BY k ORDER BY ts ${frame})`,
        setting: 'timed',
      }
    },
    topN: () => ({
      sql: `SELECT id, k, v FROM (SELECT *, ROW_NUMBER() OVER (${this.maybe(0.7, 'PARTITION BY k ')}ORDER BY ${this.pick(['v DESC, id', 'd, id', 'n DESC, id', 's, id'])}) AS rn FROM t) WHERE rn ${this.pick(['<= 2', '< 4', 'BETWEEN 2 AND 3'])}`,
    }),
    deduplicate: () => ({
      sql: `SELECT id, k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts ${this.pick(['ASC', 'DESC'])}) AS rn FROM t) WHERE rn = 1`,
      setting: 'timed',
    }),
    limit: () => ({
      sql: `SELECT id, v, d FROM t ORDER BY ${this.pick(['v DESC, id', 'd, id', 'n DESC NULLS LAST, id'])} LIMIT ${this.int(1, 5)}${this.maybe(0.3, ' OFFSET 2')}`,
    }),
    join: () => ({
      sql: `SELECT a.id, b.id AS id2, a.k, b.v FROM t a ${this.join()} u b ON ${this.pick(['a.k = b.k', 'a.k = b.k AND a.v < b.v', 'a.k = b.k AND a.s = b.s', 'a.k IS NOT DISTINCT FROM b.k'])}`,
      setting: 'two',
    }),
    joinOfAggregates: () => ({
      sql: `SELECT a.k, a.c, b.m FROM (SELECT k, COUNT(*) AS c FROM t GROUP BY k) a ${this.join()} (SELECT k, MAX(v) AS m FROM u GROUP BY k) b ON a.k = b.k`,
      setting: 'two',
    }),
    intervalJoin: () => ({
      sql: `SELECT a.id, b.id AS id2 FROM t a ${this.join()} u b ON a.k = b.k AND ${this.pick(["b.ts BETWEEN a.ts - INTERVAL '3' SECOND AND a.ts + INTERVAL '2' SECOND", "a.ts >= b.ts AND a.ts < b.ts + INTERVAL '5' SECOND", 'a.ts = b.ts'])}`,
      setting: 'two',
    }),
    temporalJoin: () => ({
      sql: `SELECT a.id, r.v, r.s FROM t a ${this.pick(['JOIN', 'LEFT JOIN'])} r FOR SYSTEM_TIME AS OF a.ts ON a.k = r.k`,
      setting: 'versions',
    }),
    subquery: () => ({
      sql: `SELECT id, k, v FROM t WHERE ${this.pick(['k IN (SELECT k FROM u WHERE v > 1)', 'EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND u.v > t.v)', 'NOT EXISTS (SELECT * FROM u WHERE u.k = t.k)', 'v > (SELECT MIN(v) FROM u)', 'v NOT IN (SELECT v FROM u)', 'v > ANY (SELECT v FROM u)'])}`,
      setting: 'two',
    }),
    setOperation: () => {
      const columns = this.pick(['k', 'k, v', 's, k', 'd'])
      const operator = this.pick(['UNION', 'UNION ALL', 'INTERSECT', 'INTERSECT ALL', 'EXCEPT', 'EXCEPT ALL'])
      return { sql: `SELECT ${columns} FROM t ${operator} SELECT ${columns} FROM u`, setting: 'two' }
    },
    unnest: () => ({ sql: `SELECT id, x FROM t LEFT JOIN UNNEST(${this.pick(['ARRAY[v, v + 1]', "SPLIT(s, 'z')"])}) AS q (x) ON TRUE` }),
    match: () => {
      const pattern = this.pick(['A B', 'A B+ C', 'A B* C', 'A B? C', 'A+ B', 'A{2} B', 'A B+? C', 'A B{1,2} C'])
      const last = pattern.includes('C') ? 'C' : 'B'
      const define = [
        `A AS ${this.pick(['A.v > 0', 'A.v < 3', 'A.d > 0'])}`,
        `B AS ${this.pick(['B.v <= 2', 'B.v > LAST(B.v, 1)', 'B.v > A.v', 'SUM(B.v) < 10'])}`,
        ...(last === 'C' && this.chance(0.7) ? [`C AS ${this.pick(['C.v > 2', 'C.v > AVG(A.v)'])}`] : []),
      ]
      const skip = this.pick(['', ' AFTER MATCH SKIP PAST LAST ROW', ' AFTER MATCH SKIP TO NEXT ROW', ` AFTER MATCH SKIP TO LAST ${last}`])
      return {
        sql: `SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES FIRST(A.id) AS f, LAST(${last}.id) AS l, COUNT(*) AS c, SUM(A.v) AS sv ONE ROW PER MATCH${skip} PATTERN (${pattern})${this.maybe(0.25, " WITHIN INTERVAL '8' SECOND")} DEFINE ${define.join(', ')})`,
        setting: 'timed',
      }
    },
  }

  /** The text of a golden file up to its expectation. */
  text(kind: string): string {
    const { sql, setting = 'plain', view } = this.kinds[kind]()
    const hasLateRows = setting === 'timed' && this.chance(0.5)
    const delay = setting === 'two' || setting === 'versions' ? 30 : hasLateRows ? this.int(0, 4) : 2
    const table = (name: string, key = false) =>
      `CREATE TABLE ${name} (${key ? COLUMNS.replace('k STRING', 'k STRING NOT NULL') : COLUMNS}, ${key ? 'PRIMARY KEY (k) NOT ENFORCED, ' : ''}WATERMARK FOR ts AS ts - INTERVAL '${delay}' SECOND);`
    const inputs = [`--- input t\n${this.rows(this.int(5, 14), hasLateRows).join('\n')}`]
    const tables = [table('t')]
    if (setting === 'two') {
      inputs.push(`--- input u\n${this.rows(this.int(4, 10), false).join('\n')}`)
      tables.push(table('u'))
    }
    if (setting === 'versions') {
      const versions = this.rows(this.int(4, 10), false).map((row) => (row.includes('"k"') ? row : row.replace('}', ',"k":"a"}')))
      inputs.push(`--- input r\n${versions.join('\n')}`)
      tables.push(table('r', true))
    }
    return `-- ${kind}\n${inputs.join('\n')}\n--- sql\n${[...tables, ...(view ? [view] : [])].join('\n')}\n${sql};\n`
  }
}

/** @returns golden files without an expectation, one kind of query after the other */
export function randomCases(seed: number, count: number): { name: string; text: string }[] {
  const generator = new Generator(seed)
  const kinds = Object.keys(generator.kinds)
  return Array.from({ length: count }, (_, i) => {
    const kind = kinds[i % kinds.length]
    return { name: `${kind}_${seed}_${i}`, text: generator.text(kind) }
  })
}
