// Formatting keeps what a text means: over every SQL text of the golden files, as it is and laid out at random.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatScript } from './format.ts'
import { lex } from './lexer.ts'
import { parseScriptTolerant } from './parse.ts'
import { plain } from './parseTesting.ts'

const golden = join(import.meta.dirname, '../../test/golden')
const texts = globSync('**/*.test', { cwd: golden }).map((name) => {
  const file = readFileSync(join(golden, name), 'utf8')
  return /^--- sql\n([\s\S]*?)(?=^--- )/m.exec(`${file}\n--- `)?.[1] ?? ''
})

/** Trees without places; functions are called as one likes. */
const treesOf = (text: string): unknown =>
  JSON.parse(
    JSON.stringify(parseScriptTolerant(text).statements.map(plain), (_key, value) =>
      typeof value === 'bigint' ? String(value) : value instanceof Uint8Array ? [...value] : value,
    ).replace(/("type":"call","name":")([^"]*)"/g, (_all, head, name) => `${head}${name.toUpperCase()}"`),
  )

/** The same tokens with other space between them, and a comment here and there. */
function laidOutAgain(text: string, spaces: () => string): string {
  let out = ''
  let at = 0
  for (const { start, end } of lex(text)) {
    const gap = text.slice(at, start)
    out += /^\s+$/.test(gap) ? spaces() : gap
    out += text.slice(start, end)
    at = end
  }
  return out
}
const space = fc.constantFrom(' ', '  ', '\n', '\n\n    ', '\t')
const spaceOrComment = fc.oneof(
  { weight: 8, arbitrary: space },
  fc.constantFrom(' /* c1 */ ', ' -- c2\n', '\n  -- c3\n', '\n/* c4\n   c5 */\n'),
)
const commentsOf = (text: string): string[] => {
  const found: string[] = []
  let at = 0
  for (const { start, end } of lex(text)) {
    found.push(...(text.slice(at, start).match(/--[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\//g) ?? []).map((comment) => comment.trimEnd()))
    at = end
  }
  return found
}

const seeded = (seeds: number[], choices: readonly string[]) => {
  let i = 0
  return () => choices[seeds[i++ % seeds.length]! % choices.length]!
}

test('there is something to format', () => assert.ok(texts.filter((text) => text.length > 100).length > 150))

test('the trees stay, comments stay, and formatting twice is formatting once', () => {
  for (const text of texts) {
    const once = formatScript(text)
    assert.deepEqual(treesOf(once), treesOf(text), text)
    assert.deepEqual(commentsOf(once), commentsOf(text), text)
    assert.equal(formatScript(once), once)
  }
})

test('however a text is laid out and commented', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...texts),
      fc.array(spaceOrComment, { minLength: 1, maxLength: 40 }),
      fc.array(fc.nat(1000), { minLength: 5, maxLength: 60 }),
      (text, spaces, seeds) => {
        const messy = laidOutAgain(text, seeded(seeds, spaces))
        const once = formatScript(messy)
        assert.deepEqual(treesOf(once), treesOf(text))
        assert.deepEqual(commentsOf(once), commentsOf(messy))
        assert.equal(formatScript(once), once)
      },
    ),
    { numRuns: 200 },
  )
})

test('space alone changes nothing', () => {
  // What cannot be read stays as it is laid out.
  const readable = texts.filter((text) => commentsOf(text).length === 0 && parseScriptTolerant(text).errors.length === 0)
  fc.assert(
    fc.property(fc.constantFrom(...readable), fc.array(fc.nat(1000), { minLength: 5, maxLength: 60 }), (text, seeds) => {
      // Whether there is an empty line between two statements is the author's.
      const wide = (laid: string): string => formatScript(laid).replace(/\n\n+/g, '\n')
      assert.equal(wide(laidOutAgain(text, seeded(seeds, [' ', '  ', '\n', '\n   ']))), wide(text))
    }),
    { numRuns: 200 },
  )
})

test('what cannot be read stays, and what is beside it is formatted', () => {
  assert.equal(
    formatScript('select 1;\nSELEC  x  FROM  ;\nselect  2'),
    'SELECT 1;\nSELEC  x  FROM;\nSELECT 2\n'.replace('FROM;', 'FROM  ;'),
  )
  assert.equal(formatScript("SELECT 'open"), "SELECT 'open\n")
  assert.equal(formatScript('-- only this'), '-- only this\n')
  assert.equal(formatScript(''), '')
})

// Where layout looked at all of a text for every line, each of these took minutes: the time-out of the test file ends it then.
test('long and deep texts are laid out, and stay as they are then', () => {
  const columns = Array.from({ length: 8_000 }, (_, i) => `column_${i}`).join(', ')
  for (const text of [
    `SELECT ${'f('.repeat(90)}${columns}${')'.repeat(90)} FROM t`,
    `SELECT a FROM t WHERE ${columns.replaceAll(',', ' = 1 AND')} = 1`,
    `${'/* a */ '.repeat(20_000)}SELECT 1`,
    'SELEC 1;\n'.repeat(20_000),
  ]) {
    const once = formatScript(text)
    assert.equal(formatScript(once), once)
  }
})
