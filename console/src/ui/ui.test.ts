import { describe, expect, test } from 'vitest'
import type { ColumnKind } from '../api/columns.ts'
import { eventTimeMs, measuredSpeed } from '../api/eventTime.ts'
import { queryOfTable } from '../api/queries.ts'
import { parseSearchValue, textOf } from '../api/search.ts'
import { parseCellFilter } from './cellFilter.ts'
import { toCsv, toJson } from './export.ts'
import {
  formatAge,
  formatBytes,
  formatCell,
  formatDuration,
  formatMs,
  formatRate,
  formatShare,
  formatSigned,
  formatSpanAxis,
} from './format.ts'
import { rank } from './fuzzy.ts'
import { sorted } from './List.tsx'
import { sqlTokens } from './sqlTokens.ts'
import { nextItem, typedText } from './treeKeys.ts'
import { fromWall, offsetMs } from './zone.ts'

describe('formats', () => {
  test.each([
    [formatRate(0), '0'],
    [formatRate(0.01), '<0.1'],
    [formatRate(3.24), '3.2'],
    [formatRate(1234.5), '1,235'],
    [formatRate(1_250_000), '1.3M'],
    [formatMs(0.734), '0.73 ms'],
    [formatMs(12.34), '12.3 ms'],
    [formatMs(12_345), '12.3 s'],
    [formatBytes(512), '512 B'],
    [formatBytes(150 * 1024 * 1024), '150 MiB'],
    [formatDuration(65), '1 m 05 s'],
    [formatDuration(3725), '1 h 02 m'],
    [formatDuration(90_000), '1 d 01 h'],
    [formatSpanAxis(0), '0'],
    [formatSpanAxis(250), '250 ms'],
    [formatSpanAxis(15_000), '15 s'],
    [formatSpanAxis(90_000), '1 m 30 s'],
    [formatSpanAxis(7_200_000), '2 h'],
    [formatSpanAxis(-60_000), '−1 m'],
    [formatAge(300), 'now'],
    [formatShare(0.033), '3.3 %'],
    [formatShare(0.0996), '10 %'],
    [formatShare(Number.NaN), '–'],
    [formatSigned(-1234), '−1,234'],
    [formatCell(9223372036854775807n, 'integer'), '9,223,372,036,854,775,807'],
    [formatCell('1234567.1234567', 'decimal'), '1,234,567.1234567'],
    [formatCell('-1234.5', 'decimal'), '-1,234.5'],
    [formatCell('2015-09-12 07:35:00.000', 'timestamp'), '2015-09-12 07:35:00'],
    [formatCell('2015-09-12 07:35:00.120', 'timestamp'), '2015-09-12 07:35:00.120'],
    [formatCell('nonsense', 'timestamp'), 'nonsense'],
    [formatCell(null, 'integer'), 'NULL'],
    [formatCell(false, 'boolean'), 'false'],
    [formatCell({ a: 1 }, 'other'), '{"a":1}'],
  ])('%s is %s', (actual, expected) => {
    expect(actual).toBe(expected)
  })
})

describe('filters', () => {
  const text = (kind: ColumnKind, filter: string, cell: unknown): [boolean, string] => {
    const parsed = parseCellFilter(filter, kind)
    return [parsed?.test(cell) ?? true, (parsed?.parameters ?? []).map(([suffix, value]) => `${suffix}=${value}`).join('&')]
  }
  test.each([
    ['', 'integer', 5, true, ''],
    ['>4', 'integer', 5, true, '.gt=4'],
    ['>5', 'integer', 5, false, '.gt=5'],
    ['>= 5', 'integer', 5, true, '.gte=5'],
    ['5..9', 'integer', 9, true, '.gte=5&.lte=9'],
    ['5..9', 'integer', 10, false, '.gte=5&.lte=9'],
    ['>9007199254740992', 'integer', 9007199254740993n, true, '.gt=9007199254740992'],
    ['1,234', 'integer', 1234, true, '.eq=1234'],
    ['<2', 'integer', null, false, '.lt=2'],
    ['>abc', 'integer', 5, false, ''],
    ['1.5', 'integer', 1, false, ''],
    ['>0.1', 'decimal', '0.10', false, '.gt=0.1'],
    ['<-0.5', 'decimal', '-0.51', true, '.lt=-0.5'],
    ['>1e3', 'float', 1000.5, true, '.gt=1e3'],
    ['null', 'integer', null, true, '.null=true'],
    ['!null', 'string', null, false, '.null=false'],
    ['en.', 'string', '#en.wikipedia', true, '.contains=en.'],
    ['EN.', 'string', '#en.wikipedia', false, '.contains=EN.'],
    ['en', 'string', null, false, '.contains=en'],
    ['=en', 'string', '#en.wikipedia', false, '.eq=en'],
    ['!en', 'string', '#en.wikipedia', false, ''],
    ['!de', 'string', '#en.wikipedia', true, ''],
    ['>=2015-09-12 07', 'timestamp', '2015-09-12 07:00:00.000', true, '.gte=2015-09-12 07:00:00'],
    ['<2015-09-12 07:35', 'timestamp', '2015-09-12 07:34:59.999', true, '.lt=2015-09-12 07:35:00'],
    ['2015-09-12..2015-09-13', 'timestamp', '2015-09-13 00:00:00.001', false, '.gte=2015-09-12 00:00:00&.lte=2015-09-13 00:00:00'],
    ['07:3', 'timestamp', '2015-09-12 07:35:00.000', true, ''],
    ['>2015-99', 'timestamp', '2015-09-12 07:35:00.000', false, ''],
    ['true', 'boolean', true, true, ''],
  ] as const)('%s on %s %s: %s, %s', (filter, kind, cell, passes, parameters) => {
    expect(text(kind, filter, cell)).toEqual([passes, parameters])
  })
})

test('CSV and JSON keep every digit and quote what must be quoted', () => {
  const rows = [
    ['a,"b"', 9223372036854775807n, null],
    ['', 1, 'x\ny'],
  ]
  expect(toCsv(['s', 'n', 'z'], rows)).toBe('s,n,z\r\n"a,""b""",9223372036854775807,\r\n"",1,"x\ny"\r\n')
  expect(toJson(['s', 'n', 'z'], rows)).toBe('[\n{"s":"a,\\"b\\"","n":9223372036854775807,"z":null},\n{"s":"","n":1,"z":"x\\ny"}\n]\n')
})

test('tokens of SQL, joined, are the SQL', () => {
  const sql = "SELECT `user`, COUNT(*) -- all\nFROM t WHERE x = 'it''s' /* open"
  const tokens = sqlTokens(sql)
  expect(tokens.map((token) => token.text).join('')).toBe(sql)
  expect(tokens.find((token) => token.text === 'COUNT')?.kind).toBe('function')
  expect(tokens.find((token) => token.text === "'it''s'")?.kind).toBe('string')
  expect(tokens.at(-1)?.kind).toBe('comment')
})

test('starts of words are found first; letters out of order not at all', () => {
  const names = ['user_sessions', 'top_pages', 'totals_5min', 'wiki_edits']
  expect(rank(names, 'tp', (name) => name)[0]).toBe('top_pages')
  expect(rank(names, 'sess', (name) => name)).toEqual(['user_sessions'])
  expect(rank(names, 'zz', (name) => name)).toEqual([])
  expect(rank(names, ' ', (name) => name)).toEqual(names)
})

test('the query of a table: by its name, else by what it writes', () => {
  const query = (id: string, sql: string) => ({ id, name: id, sql }) as never
  const queries = [query('q1', 'INSERT INTO pages_total SELECT 1'), query('q2', 'CREATE MATERIALIZED TABLE `pages` AS SELECT 1')]
  expect(queryOfTable(queries, 'pages')).toBe(queries[1])
  expect(queryOfTable(queries, 'pages_total')).toBe(queries[0])
  expect(queryOfTable(queries, 'q2')).toBe(queries[1])
  expect(queryOfTable(queries, 'other')).toBeUndefined()
})

test('event time is the newest watermark; its speed is the usual step, whatever jumps', () => {
  const at = (second: number, ...watermarks: (number | undefined)[]) => ({
    atMs: second * 1_000,
    queries: watermarks.map((watermarkMs) => ({ watermarkMs })) as never,
  })
  expect(eventTimeMs(at(0, undefined, 5, 7, 9.2e18))).toBe(7)
  expect(eventTimeMs(at(0, undefined))).toBeNull()
  expect(eventTimeMs(null)).toBeNull()
  const steady = Array.from({ length: 20 }, (_, second) => at(second, second * 200_000 + (second > 12 ? 30_000_000 : 0)))
  expect(measuredSpeed(steady)).toBe(200)
  expect(measuredSpeed(steady.slice(0, 5))).toBeNull()
  expect(measuredSpeed(Array.from({ length: 20 }, (_, second) => at(second, 5)))).toBeNull()
})

describe('zones', () => {
  const hour = 3_600_000
  test('offsets, also of half hours and of years before zones', () => {
    const march = Date.UTC(2026, 2, 1)
    expect(offsetMs(march, 'UTC')).toBe(0)
    expect(offsetMs(march + 123, 'Asia/Kolkata')).toBe(5.5 * hour)
    expect(offsetMs(march, 'America/New_York')).toBe(-5 * hour)
    expect(offsetMs(Number.NaN, 'Asia/Kolkata')).toBe(0)
  })
  test('what a clock shows is read as it is written, over the changes of clocks', () => {
    const zone = 'Europe/Berlin'
    for (let ms = Date.UTC(2026, 2, 28); ms < Date.UTC(2026, 2, 30); ms += hour / 4)
      expect(fromWall(ms + offsetMs(ms, zone), zone)).toBe(ms)
    // 02:30 comes twice on 25 October: the first is in summer time.
    expect(fromWall(Date.UTC(2026, 9, 25, 2, 30), zone)).toBe(Date.UTC(2026, 9, 25, 0, 30))
    // 02:30 is left out on 29 March: the moment after it, 03:30. West of Greenwich and for half an hour alike.
    expect(fromWall(Date.UTC(2026, 2, 29, 2, 30), zone)).toBe(Date.UTC(2026, 2, 29, 1, 30))
    expect(fromWall(Date.UTC(2026, 2, 8, 2, 30), 'America/New_York')).toBe(Date.UTC(2026, 2, 8, 7, 30))
    expect(fromWall(Date.UTC(2026, 9, 4, 2, 15), 'Australia/Lord_Howe')).toBe(Date.UTC(2026, 9, 3, 15, 45))
    expect(fromWall(Date.UTC(2026, 10, 1, 1, 30), 'America/New_York')).toBe(Date.UTC(2026, 10, 1, 5, 30))
  })
})

test('a list by a column: without a value last, either way, and what is alike stays in its order', () => {
  const items = [
    { name: 'a', lag: null },
    { name: 'b', lag: 2 },
    { name: 'c', lag: 10 },
    { name: 'd', lag: 2 },
  ]
  const columns = [{ id: 'lag', label: 'Lag', value: ({ lag }: { lag: number | null }) => lag }]
  const by = (sort: string | undefined) =>
    sorted(items, sort, columns)
      .map(({ name }) => name)
      .join('')
  expect([by('-lag'), by('lag'), by('what'), by(undefined)]).toEqual(['cbda', 'bdca', 'abcd', 'abcd'])
})

test('what is typed into an address by hand is the text that it is', () => {
  const read = (text: string): unknown => {
    try {
      return parseSearchValue(text)
    } catch {
      return text
    }
  }
  for (const text of ['123', '1e5', '007', 'null', 'true', '12345678901234567890', '-1.50', 'a"b']) expect(textOf(read(text))).toBe(text)
  expect(textOf(read('"123"'))).toBe('123')
  expect(read('{"a":"5"}')).toEqual({ a: '5' })
  expect(read('["a"]')).toEqual(['a'])
  expect(textOf(read(''))).toBe(undefined)
})

test('the first letters of a name lead to it, the same letter again to the next', () => {
  let nowMs = 0
  const typed = typedText(() => nowMs)
  const names = ['bids', 'orders', 'operators', 'Orders of 2026', 'people']
  const type = (text: string, from: number): number | undefined =>
    [...text].reduce<number | undefined>((at, letter) => typed(letter, at ?? from, names), from)
  expect(type('o', 0)).toBe(1)
  nowMs += 10
  expect(typed('p', 1, names)).toBe(2)
  nowMs += 1_000
  expect(type('oo', 0)).toBe(2)
  nowMs += 1_000
  expect(type('ord', 2)).toBe(3)
  nowMs += 1_000
  expect(type('b', 4)).toBe(0)
  nowMs += 1_000
  expect(type('x', 4)).toBe(undefined)
  expect(['ArrowDown', 'ArrowUp', 'Home', 'End', 'a'].map((key) => nextItem(key, 0, 5))).toEqual([1, 0, 0, 4, undefined])
  expect(nextItem('ArrowDown', 4, 5)).toBe(4)
})
