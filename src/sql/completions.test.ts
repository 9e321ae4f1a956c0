import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { completions } from './completions.ts'
import { lex } from './lexer.ts'
import { sqlName } from './names.ts'

const catalog = {
  tables: [
    { name: 'bids', columns: ['auction', 'price', 'ts'] },
    { name: 'people', columns: ['id', 'name'] },
  ],
  functions: ['ABS', 'PARSE_URL'],
}
/** `|` is where the cursor stands. */
const at = (sql: string): string[] =>
  completions(sql.replace('|', ''), sql.indexOf('|'), catalog).map(({ label, kind }) => `${kind} ${label}`)

test('what the grammar takes is offered', () => {
  assert.deepEqual(at('SELECT p| FROM bids'), ['column price', 'function PARSE_URL'])
  assert.deepEqual(at('SELECT * FROM |'), ['table bids', 'table people', 'keyword LATERAL', 'keyword UNNEST', 'keyword TABLE'])
  assert.deepEqual(at('SELECT 1; INSERT INTO pe|'), ['table people'])
  assert.deepEqual(at('SELECT b.| FROM bids AS b JOIN people p ON b.auction = p.id; SELECT 1'), [
    'column auction',
    'column price',
    'column ts',
  ])
  assert.deepEqual(at('SELECT p.n| FROM bids b, people p'), ['column name'])
  assert.deepEqual(at('SELECT price FROM bids GR|'), ['keyword GROUP'])
  assert.deepEqual(at('CRE|'), ['keyword CREATE'])
  assert.deepEqual(at('CREATE T|'), ['keyword TEMPORARY', 'keyword TABLE'])
  assert.ok(at('SELECT price FROM bids WHERE price > 1 |').includes('keyword GROUP'))
})

test('a name that the parser would not take bare is offered in backquotes', () => {
  const tables = [{ name: 'odd.name `x', columns: ['a b', 'order', 'größe', 'ok'] }]
  const columns = completions('SELECT  FROM `odd.name ``x`', 7, { tables, functions: [] }).filter(({ kind }) => kind === 'column')
  assert.deepEqual(
    columns.map(({ label }) => label),
    ['`a b`', '`order`', sqlName('größe'), 'ok'],
  )
  assert.deepEqual(completions('SELECT 1 FROM o', 15, { tables, functions: [] })[0], { label: '`odd.name ``x`', kind: 'table' })
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' }), (name) => {
      const [token, end] = lex(sqlName(name))
      assert.deepEqual([token.text, token.reserved, end.kind], [name, false, 'end'])
    }),
  )
})

test('nothing is offered in a text, or behind an error', () => {
  assert.deepEqual(at("SELECT 'p|' FROM bids"), [])
  assert.deepEqual(at('SELECT FROM WHERE |'), [])
})

test('any text and any offset give an answer', () => {
  const piece = fc.constantFrom('SELECT', 'FROM', 'bids', '.', 'b', ',', '(', ')', ';', "'", 'AS', 'JOIN', 'x', '/*', '=>', '[')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), fc.nat(80), (pieces, offset) => {
      const text = pieces.join(' ')
      assert.ok(Array.isArray(completions(text, Math.min(offset, text.length), catalog)))
    }),
  )
})
