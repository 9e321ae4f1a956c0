// What INSERT brings to the columns of its target, and what it refuses: as Flink 2.1.1 did with the same rows and a `print` sink.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isStreamError } from '../../base/index.ts'
import { parseGoldenFile } from './file.ts'
import { play } from './play.ts'
import { goldenModes } from './run.ts'

const rows = `{"id":1,"k":"abcdef","n":3,"d":1.5,"dc":1.2345,"ts":"2026-01-01 00:00:00.123456","dt":"2026-01-01"}
{"id":2}
{"id":3,"k":"é","n":5000000000,"d":-0.5,"dc":99999.9999,"ts":"2026-01-02 00:00:00","dt":"2026-02-01"}`

/** The values of the column after the INSERT, or the code of the error. */
function insert(column: string, expression: string, setting = ''): unknown[] | string {
  const file = parseGoldenFile(
    'insert.test',
    `-- INSERT
--- input src
${rows}
--- sql
${setting}
CREATE TABLE src (id INT, k STRING, n BIGINT, d DOUBLE, dc DECIMAL(10, 4), ts TIMESTAMP(6), dt DATE);
CREATE TABLE snk (x ${column}) WITH ('connector' = 'print');
INSERT INTO snk SELECT ${expression} FROM src;
--- expect snk
`,
  )
  try {
    return play(file, { kind: 'as-written' }).rows.map(([value]) => value)
  } catch (error) {
    if (!isStreamError(error)) throw error
    return error.code
  }
}

test('INSERT converts numbers to wider ones, and texts, decimals and timestamps', () => {
  const taken: [column: string, expression: string, values: unknown[]][] = [
    ['VARCHAR(3)', 'k', ['abc', null, 'é']],
    ['CHAR(8)', 'CAST(k AS CHAR(4))', ['abcd    ', null, 'é       ']],
    ['BIGINT', 'id', [1n, 2n, 3n]],
    ['DOUBLE', 'n', [3, null, 5e9]],
    ['FLOAT', 'id', [1, 2, 3]],
    ['DECIMAL(5, 1)', 'dc', ['1.2', null, null]],
    ['DECIMAL(20, 2)', 'd', ['1.50', null, '-0.50']],
    ['TIMESTAMP(3)', 'ts', ['2026-01-01 00:00:00.123', null, '2026-01-02 00:00:00.000']],
    ['DATE', 'ts', ['2026-01-01', null, '2026-01-02']],
    ['ARRAY<BIGINT>', 'ARRAY[id]', [[1n], [2n], [3n]]],
  ]
  for (const [column, expression, values] of taken) assert.deepEqual(insert(column, expression), values, `${expression} to ${column}`)
})

test('INSERT refuses what could lose something: it takes a CAST', () => {
  const refused = [
    ['CHAR(8)', 'k'],
    ['INT', 'n'],
    ['TINYINT', 'id'],
    ['FLOAT', 'd'],
    ['INT', 'dc'],
    ['TIMESTAMP(3)', 'dt'],
    ['STRING', 'dt'],
    ['STRING', 'id'],
    ['BYTES', 'k'],
    ['ARRAY<INT>', 'ARRAY[n]'],
  ]
  for (const [column, expression] of refused) assert.equal(insert(column, expression), 'SQL_INSERT_TYPE', `${expression} to ${column}`)
  assert.deepEqual(insert('TINYINT', 'CAST(id AS TINYINT)'), [1, 2, 3])
})

test('NULL for a NOT NULL column fails, or is left out where the session says so', () => {
  assert.equal(insert('STRING NOT NULL', 'k'), 'EXPRESSION_NULL_REFUSED')
  assert.deepEqual(insert('STRING NOT NULL', "COALESCE(k, '-')"), ['abcdef', '-', 'é'])
  assert.deepEqual(insert('STRING NOT NULL', 'k', "SET 'table.exec.sink.not-null-enforcer' = 'DROP';"), ['abcdef', 'é'])
  assert.equal(insert('STRING NOT NULL', 'k', "SET 'table.exec.sink.not-null-enforcer' = 'WARN';"), 'SQL_SETTING_INVALID')
})

const moves = [
  [1, 'x'],
  [2, 'x'],
  [3, 'z'],
  [3, 'x'],
  [2, 'y'],
  [3, 'y'],
  [4, 'z'],
  [4, 'w'],
].map(([id, grp], i) => `{"id":${id},"grp":"${grp}","v":${i},"ts":"2026-01-01 00:00:0${i}.000"}`)
const newest = 'SELECT grp, id, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY ts DESC) AS rn FROM moves) WHERE rn = 1;'

/** What is left in a target whose key is grp of rows whose key is id, in each way to play them. */
const leftIn = (target: string, setting = ''): unknown[] => {
  const text = `-- Targets
--- input moves
${moves.join('\n')}
--- sql
${setting}
CREATE TABLE moves (id INT, grp STRING, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '20' SECOND);
${target} ${newest}
--- expect snk
`
  const file = parseGoldenFile('targets.test', text)
  return goldenModes.map(({ mode }) => JSON.stringify(play(file, mode).rows.sort()))
}

test('of rows that share a key of the target the last one counts, and where it leaves the one before it', () => {
  const upserts = `CREATE TABLE snk (grp STRING, id INT, v INT, PRIMARY KEY (grp) NOT ENFORCED) WITH ('connector' = 'upsert-kafka', 'key.format' = 'json', 'value.format' = 'json');
INSERT INTO snk`
  const expected = JSON.stringify([['w', 4, 7], ['x', 1, 0], ['y', 3, 5]]) // biome-ignore format: rows
  for (const target of ['CREATE MATERIALIZED TABLE snk (PRIMARY KEY (grp) NOT ENFORCED) AS', upserts]) {
    const left = leftIn(target)
    assert.deepEqual(
      left,
      left.map(() => expected),
      target,
    )
  }
  assert.notEqual(leftIn(upserts, "SET 'table.exec.sink.upsert-materialize' = 'NONE';")[0], expected)
})

test('a target that takes each change, as print does, gets them as they are, whatever its key', () => {
  const print = `CREATE TABLE snk (grp STRING, id INT, v INT, PRIMARY KEY (grp) NOT ENFORCED) WITH ('connector' = 'print');
INSERT INTO snk`
  const expected = JSON.stringify([['w', 4, 7], ['x', 1, 0], ['y', 2, 4], ['y', 3, 5]]) // biome-ignore format: rows
  for (const left of leftIn(print)) assert.equal(left, expected)
})
