// Every example of docs/sql is played, and its result is what the page shows. `UPDATE_DOCS=1 node --test test/docs-sql.test.ts`
// writes today's results into the pages: the diff is the review.
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { aggregateFunctionNames } from '../src/sql/aggregates.ts'
import { scalarFunctionNames } from '../src/sql/index.ts'
import { readExamples, updatedPage } from './docsSql.ts'

const folder = join(import.meta.dirname, '..', 'docs')
const pages = ['flink-differences.md', ...globSync('sql/**/*.md', { cwd: folder }).sort()]
const textOf = (page: string): string => readFileSync(join(folder, page), 'utf8')

for (const page of pages)
  test(`docs/${page}: every example gives what the page shows`, () => {
    const path = join(folder, page)
    if (process.env.UPDATE_DOCS) writeFileSync(path, updatedPage(path))
    const wrong = readExamples(path)
      .filter(({ actual, expected }) => actual !== expected)
      .map(({ line, sql, expected, actual }) => `${page}:${line}\n${sql}\nthe page shows\n${expected}\nit gives\n${actual}\n`)
    assert.equal(wrong.join('\n'), '')
  })

test('the tables of functions name every function that there is, and no other', () => {
  const rows = pages.flatMap((page) => {
    let isFunctions = false
    return textOf(page)
      .split('\n')
      .filter((line) => {
        isFunctions = line.startsWith('|') && (isFunctions || line.startsWith('| Function |'))
        return isFunctions
      })
  })
  const cells = rows.map((row) => row.split(/(?<!\\)\|/)[1])
  // CURRENT_DATE and its like have no parentheses; `OVERLAPS (start, end)` is an operator.
  const named = new Set(cells.flatMap((cell) => cell.match(/\b[A-Z][A-Z0-9_]*(?=[([`])/g) ?? []))
  const called = new Set(cells.flatMap((cell) => cell.match(/\b[A-Z][A-Z0-9_]*(?=[([])/g) ?? []))
  const known = [...scalarFunctionNames(), ...aggregateFunctionNames()]
  const unnamed = known.filter((name) => !named.has(name))
  const unknown = [...called].filter((name) => !known.includes(name))
  assert.deepEqual({ unnamed, unknown }, { unnamed: [], unknown: [] })
})

test('links between the pages lead somewhere', () => {
  const anchorsOf = (page: string): string[] =>
    [...textOf(page).matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
      title
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    )
  const broken = pages.flatMap((page) =>
    [...textOf(page).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)]
      .filter(([, target, anchor]) => {
        const path = join(dirname(page), target === '' ? '.' : target)
        const file = target === '' ? page : path
        return !existsSync(join(folder, file)) || (anchor !== undefined && !anchorsOf(file).includes(anchor))
      })
      .map(([link]) => `${page}: ${link}`),
  )
  assert.deepEqual(broken, [])
})
