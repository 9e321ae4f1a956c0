// Every example of docs/sql is played, and its result is what the page shows. `UPDATE_DOCS=1 node --test test/docs-sql.test.ts`
// writes today's results into the pages: the diff is the review.
import assert from 'node:assert/strict'
import { globSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readExamples, updatedPage } from './docsSql.ts'

const folder = join(import.meta.dirname, '..', 'docs')
const pages = globSync(['sql/**/*.md', 'flink-differences.md'], { cwd: folder }).sort()

for (const page of pages)
  test(`docs/${page}: every example gives what the page shows`, () => {
    const path = join(folder, page)
    if (process.env.UPDATE_DOCS) writeFileSync(path, updatedPage(path))
    const wrong = readExamples(path)
      .filter(({ actual, expected }) => actual !== expected)
      .map(({ line, sql, expected, actual }) => `${page}:${line}\n${sql}\nthe page shows\n${expected}\nit gives\n${actual}\n`)
    assert.equal(wrong.join('\n'), '')
  })
