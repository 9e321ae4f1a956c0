import { expect, test } from 'vitest'
import atlas from 'world-atlas/countries-110m.json'
import type { LiveRow } from '../api/liveTable.ts'
import { formatFigure, formatInteger, formatRate } from '../ui/format.ts'
import { countryDots, nameOfAlpha2WithoutNumber, numericOfAlpha2 } from './countries.ts'
import { arrivalPoints, eventPoints } from './rowPoints.ts'
import { durationStepsMs, roundUp, roundUpBytes, roundUpDuration, stack, stepsFor } from './stack.ts'

const geometries = atlas.objects.countries.geometries as { id?: string; properties: { name: string } }[]

test('249 countries, each letter pair and each number once', () => {
  expect(numericOfAlpha2.size).toBe(249)
  expect(new Set(numericOfAlpha2.values()).size).toBe(249)
  for (const [letters, digits] of numericOfAlpha2) expect(letters + digits).toMatch(/^[A-Z]{2}\d{3}$/)
})

test('every shape of the map with a number is a country of the table, and the names agree', () => {
  const lettersOf = new Map([...numericOfAlpha2].map(([letters, digits]) => [digits, letters]))
  const names = new Intl.DisplayNames('en', { type: 'region' })
  const first = (name: string): string =>
    name
      .normalize('NFD')
      .replace(/[^A-Za-z]/g, '')
      .slice(0, 3)
      .toLowerCase()
  const others: string[] = []
  for (const { id, properties } of geometries) {
    if (!id) continue
    const letters = lettersOf.get(id)
    expect(letters, properties.name).toBeDefined()
    if (first(names.of(letters!) ?? '') !== first(properties.name)) others.push(`${letters} ${properties.name}`)
  }
  // Names that the map shortens, and nothing else.
  expect(others.sort()).toEqual([
    'CD Dem. Rep. Congo',
    'EH W. Sahara',
    'GQ Eq. Guinea',
    'MK Macedonia',
    'SS S. Sudan',
    'TF Fr. S. Antarctic Lands',
  ])
})

test.each([
  ['IT', '380'],
  ['US', '840'],
  ['KR', '410'],
  ['HK', '344'],
  ['GB', '826'],
  ['ZA', '710'],
  ['AF', '004'],
])('%s is %s', (letters, digits) => {
  expect(numericOfAlpha2.get(letters)).toBe(digits)
})

test('a dot stands on the earth and has no shape of its own', () => {
  const shapes = new Set(geometries.map(({ id }) => id))
  const numbers = new Set(numericOfAlpha2.values())
  for (const { numeric, longitude, latitude } of countryDots) {
    expect(shapes.has(numeric), numeric).toBe(false)
    expect(numbers.has(numeric), numeric).toBe(true)
    expect(Math.abs(longitude) <= 180 && Math.abs(latitude) <= 90).toBe(true)
  }
  expect(geometries.some(({ properties }) => properties.name === nameOfAlpha2WithoutNumber.get('XK'))).toBe(true)
})

test('stacking adds up, axes end on round numbers', () => {
  expect(
    stack([
      [1, null, 3],
      [10, null, null],
    ]),
  ).toEqual([
    [1, 0, 3],
    [11, 0, 3],
  ])
  expect([0, 1, 1.1, 2.4, 3, 7, 99, 100, 101, 251].map(roundUp)).toEqual([1, 1, 1.25, 2.5, 3, 8, 100, 100, 125, 300])
  expect([0, 1, 900, 1_025, 5 * 2 ** 20 + 1].map(roundUpBytes)).toEqual([1, 1, 1_000, 1_280, 6 * 2 ** 20])
})

test('an axis has no two marks with the same text', () => {
  expect(stepsFor(formatInteger)[0]).toBe(1)
  expect(stepsFor(formatRate).slice(15, 20)).toEqual([0.1, 0.2, 0.5, 1, 2])
})

test('a figure of a chart has three digits that matter, however small it is', () => {
  expect([0, 0.13234, -0.5, 7, 412.6, 24_132].map(formatFigure)).toEqual(['0', '0.132', '-0.5', '7', '413', '24.1K'])
})

test('an axis of time has steps that people count in, and ends at one of them', () => {
  for (let i = 1; i < durationStepsMs.length; i++) expect(durationStepsMs[i]).toBeGreaterThan(durationStepsMs[i - 1]!)
  const [second, minute, hour, day] = [1_000, 60_000, 3_600_000, 86_400_000]
  expect([0.7, 340, 3_200, 61 * second, 100 * second, 31 * minute, 5.2 * hour, 30 * hour, 900 * day].map(roundUpDuration)).toEqual([
    0.8,
    400,
    4_000,
    75 * second,
    2 * minute,
    40 * minute,
    6 * hour,
    30 * hour,
    1_000 * day,
  ])
})

const rowsOf = (...all: [atMs: number, time: string | null, ...numbers: (number | string | null)[]][]): LiveRow[] =>
  all.map(([changedAtMs, ...cells], i) => ({ key: String(i), cells, changed: new Set<number>(), changedAtMs }))

test('rows of one event time are one point, their sum; NULLs count for nothing', () => {
  const rows = rowsOf(
    [9, '2026-01-01 00:01:00.000', 1, '0.5'],
    [9, '2026-01-01 00:00:00.000', 2, null],
    [9, '2026-01-01 00:01:00.000', null, '1.5'],
    [9, null, 4, '1'],
  )
  const { timesMs, stepMs, values, timeless, older } = eventPoints(rows, 0, [1, 2])
  expect(timesMs.map((ms) => new Date(ms).toISOString())).toEqual(['2026-01-01T00:00:00.000Z', '2026-01-01T00:01:00.000Z'])
  expect([stepMs, values, timeless, older]).toEqual([
    60_000,
    [
      [2, 1],
      [null, 2],
    ],
    1,
    0,
  ])
})

test('by arrival rows are in the second in which they changed; those that were there before are left out and counted', () => {
  const rows = rowsOf([1_000_200, 'x', 1], [1_000_900, 'x', 2], [1_003_000, 'x', 4], [0, 'x', 8])
  expect(arrivalPoints(rows, [1])).toEqual({ timesMs: [1_000_000, 1_003_000], stepMs: 1_000, values: [[3, 4]], timeless: 1, older: 0 })
  // Over hours the steps are longer, so that there is something to see.
  const long = arrivalPoints(
    Array.from({ length: 720 }, (_, i) => rowsOf([1_000_000 + i * 10_000, 'x', 1])[0]!),
    [1],
  )
  expect([long.stepMs, long.values[0]!.reduce<number>((sum, value) => sum + (value ?? 0), 0)]).toEqual([60_000, 720])
})

test('more points than can be drawn: the oldest rows are left out, and counted', () => {
  const all = Array.from({ length: 600 }, (_, i) => rowsOf([1, new Date(i * 60_000).toISOString(), 1])[0]!)
  const { timesMs, timeless, older } = eventPoints([...all, ...rowsOf([1, null, 1])], 0, [1])
  expect([timesMs.length, timesMs[0], timeless, older]).toEqual([500, 100 * 60_000, 1, 100])
})
