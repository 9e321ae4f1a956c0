// Each golden file is bound; the columns must have Flink's names and types, and the changelog what Flink's plan promises.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { isStreamError } from '../base/index.ts'
import { formatType } from '../data/index.ts'
import { bindScript } from './bind.ts'
import { Catalog } from './catalog.ts'

const golden = resolve(import.meta.dirname, '../../test/golden')
const files = globSync('*/*.test', { cwd: golden }).sort()

/** Fail only while rows are read. */
const RUN_TIME_ERRORS = [
  'errors/scalar_subquery_of_two_rows.test',
  'errors/cast_of_bad_text.test',
  'errors/cast_text_decimal_too_many_digits.test',
  'errors/null_rowtime.test',
  'errors/similar_to_special_in_brackets.test',
]

function parts(file: string): { sql: string; expect: string[]; isError: boolean } {
  const sections = readFileSync(join(golden, file), 'utf8').split(/^--- /m)
  const sql = sections.find((section) => section.startsWith('sql\n'))!.slice('sql\n'.length)
  const expect = sections.find((section) => section.startsWith('expect'))!
  return { sql, expect: expect.split('\n').slice(1), isError: expect.startsWith('expect error') }
}

const after = (lines: string[], start: string): string => lines.find((line) => line.startsWith(start))!.slice(start.length)

assert.ok(files.length > 150)
for (const file of files) {
  test(file, () => {
    const { sql, expect, isError } = parts(file)
    if (isError && !RUN_TIME_ERRORS.includes(file)) {
      assert.throws(
        () => bindScript(sql, new Catalog()),
        (error) => isStreamError(error) && error.kind === 'user' && error.position !== undefined,
      )
      return
    }
    const bound = bindScript(sql, new Catalog()).at(-1)!
    assert.equal(bound.type, 'query')
    if (bound.type !== 'query' || isError) return
    const columns = bound.query.fields.map(({ name, type }) => `${name} ${formatType(type)}`).join(', ')
    // Golden files have no backquotes, and Flink's planner knows only TIME(0).
    assert.equal(columns.replaceAll('`', '').replace(/\bTIME\(\d\)/g, 'TIME(0)'), after(expect, '-- columns: '))
    // An engine may be better than Flink: append-only where Flink updates, but not the other way round.
    if (after(expect, '-- changelog: ') === 'append-only') assert.equal(bound.query.changelog, 'append')
  })
}
