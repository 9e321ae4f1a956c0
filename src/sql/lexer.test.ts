import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bytesOfHex, lex, textOfUnicodeEscapes } from './lexer.ts'

const kinds = (text: string): string[] => lex(text).map(({ kind, text: value }) => (kind === 'end' ? 'end' : `${kind} ${value}`))

test('tokens of each kind', () => {
  assert.deepEqual(kinds("SELECT `a``b`, 'it''s', x'0F', U&'\\00e9', N'n' <> 1.5e-3 -- c\n// c\n/* c */ .5 naïve_1 _UTF8'z'"), [
    'word SELECT',
    'quoted a`b',
    'symbol ,',
    "string it's",
    'symbol ,',
    'binary 0F',
    'symbol ,',
    'unicode \\00e9',
    'symbol ,',
    'string n',
    'symbol <>',
    'number 1.5e-3',
    'number .5',
    'word naïve_1',
    'string z',
    'end',
  ])
})

test('hints are tokens, other comments are not', () => {
  assert.deepEqual(
    lex('a /*+ b */ c /* + d */ e */').map((token) => token.key),
    ['A', '/*+', 'B', '*/', 'C', 'E', '*', '/', ''],
  )
})

test('what never ends becomes an error token', () => {
  for (const [text, what] of [
    ["'a", 'text'],
    ['`a', 'name'],
    ['/* a', 'comment'],
    ['“', 'character'],
    ['"', 'character'],
  ])
    assert.deepEqual(kinds(text!), [`error ${what}`, 'end'])
})

test('escapes and bytes', () => {
  assert.equal(textOfUnicodeEscapes('a\\00e9\\+01f600\\\\', '\\'), 'aé😀\\')
  assert.equal(textOfUnicodeEscapes('!00e9', '!'), 'é')
  for (const broken of ['\\', '\\00e', '\\zzzz', '\\+110000']) assert.equal(textOfUnicodeEscapes(broken, '\\'), undefined)
  assert.deepEqual(bytesOfHex('0aFF'), Uint8Array.of(10, 255))
  assert.equal(bytesOfHex('0'), undefined)
  assert.equal(bytesOfHex('0g'), undefined)
})

test('tokens cover a text in order, whatever it is', () => {
  const piece = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom("'", '`', '--', '/*', '*/', '/*+', '\n', ';', 'a1', "X'", "U&'", '_a', '1.e5', '"'),
  )
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const text = pieces.join('')
      const tokens = lex(text)
      let before = 0
      for (const token of tokens) {
        assert.ok(token.start >= before && token.end >= token.start && token.end <= text.length)
        assert.ok(token.kind === 'end' || token.end > token.start)
        before = token.end
      }
      assert.equal(tokens.filter((token) => token.kind === 'end').length, 1)
      assert.equal(tokens.at(-1)!.kind, 'end')
    }),
  )
})
