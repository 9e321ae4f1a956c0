import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { t } from '../../data/index.ts'
import { makeJsonChecker } from './checker.ts'
import { makeJsonDecoder } from './decoder.ts'
import { JsonSplitter } from './split.ts'

const fields = [
  { name: 'id', type: t.bigint() },
  { name: 'user', type: t.string(false) },
  { name: 'price', type: t.double() },
  { name: 'n', type: t.int() },
  { name: 'ok', type: t.boolean() },
  { name: 'amount', type: t.decimal(10, 2) },
  { name: 'ts', type: t.timestamp(3) },
  { name: 'tags', type: t.array(t.string()) },
]

test('the checker accepts exactly what the decoder decodes, on any path, with the same failure', () => {
  const checker = makeJsonChecker(fields, ['user', 'id', 'session'])
  const decoder = makeJsonDecoder(fields)
  const good =
    '{"id":123456789012345,"user":"ana","price":12.5,"n":-7,"ok":true,"amount":1.25,"ts":"2026-01-01 00:00:00.000","tags":["a","é"],"session":"s-1","more":{"x":[1]}}'
  const bytes = Buffer.from(good)
  const mutation = fc.record({
    at: fc.nat(bytes.length - 1),
    put: fc.oneof(fc.constantFrom(...[...'"\\{}[]:,0-.euna \n'].map((c) => c.charCodeAt(0))), fc.nat(255)),
    insert: fc.boolean(),
  })
  let acceptedCount = 0
  fc.assert(
    fc.property(fc.array(mutation, { maxLength: 2 }), (mutations) => {
      let mutated = bytes
      for (const { at, put, insert } of mutations)
        mutated = Buffer.concat([mutated.subarray(0, at), Buffer.of(put), mutated.subarray(insert ? at : at + 1)])
      const body = Buffer.concat([bytes, mutated, bytes])
      checker.begin(body)
      for (const [start, end] of [
        [0, bytes.length],
        [bytes.length, bytes.length + mutated.length],
        [bytes.length + mutated.length, body.length],
      ]) {
        let expected: unknown
        decoder.decode(body, Int32Array.of(start), Int32Array.of(end), 1, (_, error) => {
          const { rule, path, message } = error.params
          expected = { rule, path, message }
        })
        const failure = checker.check(start, end)
        assert.deepEqual(failure, expected)
        if (failure === undefined) acceptedCount++
      }
    }),
    { numRuns: 5000 },
  )
  assert.ok(acceptedCount > 10_000)
})

test('captured texts: plain, escaped, numbers, null and missing, generated code and general parser alike', () => {
  const checker = makeJsonChecker(fields, ['user', 'id', 'session'])
  const event = fc.record({
    user: fc.string({ unit: 'binary' }),
    id: fc.option(fc.integer()),
    session: fc.option(fc.oneof(fc.string(), fc.integer()), { nil: undefined }),
  })
  fc.assert(
    fc.property(fc.array(event, { minLength: 1, maxLength: 30 }), (events) => {
      const lines = events.map((each) => Buffer.from(JSON.stringify(each)))
      const body = Buffer.concat(lines)
      checker.begin(body)
      let start = 0
      events.forEach((each, i) => {
        assert.equal(checker.check(start, start + lines[i].length), undefined)
        start += lines[i].length
        const captured = [0, 1, 2].map((k) => {
          const [from, to] = checker.captures.subarray(2 * k, 2 * k + 2)
          return from < 0 ? null : Buffer.from(checker.sources[k].subarray(from, to)).toString()
        })
        assert.deepEqual(captured, [
          each.user,
          each.id === null ? null : String(each.id),
          each.session === undefined || each.session === null ? null : String(each.session),
        ])
      })
    }),
  )
})

const split = (body: string, isNdjson = false, max = 1000) => {
  const bytes = Buffer.from(body)
  const { starts, ends, count } = new JsonSplitter().split(bytes, isNdjson ? 'ndjson' : 'json', max)
  return Array.from({ length: count }, (_, i) => bytes.subarray(starts[i], ends[i]).toString())
}

test('a body is cut into its events', () => {
  const cases: [string, string[]][] = [
    ['', []],
    [' \n ', []],
    ['{"a":1}', ['{"a":1}']],
    ['\ufeff {"a":1} \n', ['{"a":1}']],
    ['{\n "a": 1\n}\n', ['{\n "a": 1\n}']],
    ['{\n "a": 1\n}\n{\n"b":2}', ['{\n "a": 1\n}', '{\n"b":2}']],
    ['{"a":1}\r\n\n  {"b":2}\n', ['{"a":1}', '{"b":2}']],
    ['{"a":x}\n{"b":2}\n', ['{"a":x}', '{"b":2}']],
    ['{"a":1}\n{"b":\n{"c":3}', ['{"a":1}', '{"b":', '{"c":3}']],
    ['{\n"a": x\n}', ['{\n"a": x\n}']],
    ['{"a":1}{"b":2}', ['{"a":1}{"b":2}']],
    ['[]', []],
    ['[ {"a":1} , {"b":[1,2]} ]\n', ['{"a":1}', '{"b":[1,2]}']],
    ['[{"a":NaN},{"b":"],["},3]', ['{"a":NaN}', '{"b":"],["}', '3']],
    ['[{"a":1},,{"b":2},]', ['{"a":1}', '', '{"b":2}', '']],
    ['[{"a":1},{"b":"x]', ['{"a":1}', '{"b":"x]']],
    ['[{"a":1}', ['{"a":1}', '']],
    ['[{"a":1}] {"b":2}', ['{"a":1}', '{"b":2}']],
    ['hello', ['hello']],
  ]
  for (const [body, expected] of cases) assert.deepEqual(split(body), expected, body)
  assert.deepEqual(split('[1]\n{"a":1}', true), ['[1]', '{"a":1}'])
  assert.equal(split('[1,2,3,4]', false, 2).length, 3)
})

test('whatever the objects, an array and lines of them give them back; whatever the bytes, no byte is lost', () => {
  const objects = fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(objects, fc.constantFrom(undefined, 1), (list, indent) => {
      assert.deepEqual(
        split(JSON.stringify(list, undefined, indent)).map((text) => JSON.parse(text)),
        JSON.parse(JSON.stringify(list)),
      )
      assert.deepEqual(
        split(list.map((each) => JSON.stringify(each)).join('\n')),
        list.map((each) => JSON.stringify(each)),
      )
    }),
  )
  const noise = fc.string({ unit: fc.constantFrom(...'[]{}",:\\1 a\n'), maxLength: 30 })
  fc.assert(
    fc.property(noise, fc.boolean(), (body, isNdjson) => {
      const bare = (text: string) => text.replace(/[\s,[\]]/g, '')
      assert.equal(bare(split(body, isNdjson).join('')), bare(body))
    }),
    { numRuns: 5000 },
  )
})
