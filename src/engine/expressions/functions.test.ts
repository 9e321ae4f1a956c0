// What functions, casts and operators give: a table of SQL and its value, each computed from literals and again from columns.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isStreamError } from '../../base/index.ts'
import type { Field } from '../../data/index.ts'
import { batchOf, formatType, t } from '../../data/index.ts'
import type { Expr } from '../../sql/index.ts'
import { bindScript, Catalog, resolveCall, scalarFunctionNames } from '../../sql/index.ts'
import { compileCalc, compileScalar, evaluateConstant, formatValue } from './index.ts'

function bind(sql: string): Expr {
  const [statement] = bindScript(`SELECT ${sql}`, new Catalog())
  assert.ok(statement.type === 'query' && statement.query.node === 'calc', sql)
  return statement.query.projections[0]
}

/** The expression with its literals as columns of a batch of one row. */
function overColumns(expr: Expr): { expr: Expr; fields: Field[]; row: unknown[] } {
  const fields: Field[] = []
  const row: unknown[] = []
  const replaced = (part: Expr): Expr => {
    if (part.kind === 'literal' && part.value !== null) {
      fields.push({ name: `c${fields.length}`, type: part.type })
      row.push(part.value)
      return { kind: 'column', index: fields.length - 1, type: part.type }
    }
    return part.kind === 'call' ? { ...part, args: part.args.map(replaced) } : part
  }
  return { expr: replaced(expr), fields, row }
}

const shown = (value: unknown, expr: Expr): string =>
  JSON.stringify(formatValue(value, expr.type), (_, one) => (typeof one === 'bigint' ? Number(one) : Object.is(one, -0) ? '-0' : one))

function check(sql: string, expected: string): void {
  const expr = bind(sql)
  assert.equal(shown(evaluateConstant(expr), expr), expected, sql)
  const { expr: computed, fields, row } = overColumns(expr)
  const column = compileScalar(computed, fields)(batchOf(fields, [row]))
  const value = column.nulls?.[0] === 1 ? null : column.lane === 'u8' ? column.data[0] === 1 : column.lane === 'utf8' ? '' : column.data[0]
  assert.equal(shown(value, expr), expected, `${sql}, over columns`)
}

const table: Record<string, [sql: string, expected: string][]> = {
  arithmetic: [
    ['7 / 2', '3'],
    ['CAST(-7 AS BIGINT) / 2', '-3'],
    ['-7 % 3', '-1'],
    ['2147483647 + 1', '-2147483648'],
    ['CAST(9223372036854775807 AS BIGINT) + 1 < 0', 'true'],
    ['CAST(127 AS TINYINT) + CAST(1 AS TINYINT)', '-128'],
    ['1.50 + 2.255', '"3.755"'],
    ['1.5 / 0.7', '"2.142857"'],
    ['CAST(10 AS DECIMAL(10,2)) / CAST(3 AS DECIMAL(10,2))', '"3.3333333333333"'],
    ['-CAST(2 AS DECIMAL(3,0)) / CAST(3 AS DECIMAL(3,0))', '"-0.666667"'],
    ["CAST('99999999999999999999999999999999999999' AS DECIMAL(38,0)) + 1", 'null'],
    ['CAST(1.005 AS DECIMAL(3,2))', '"1.01"'],
    ['CAST(-1.005 AS DECIMAL(3,2))', '"-1.01"'],
    ['CAST(12345 AS DECIMAL(3,0))', 'null'],
    ['ABS(-5)', '5'],
    ['ABS(-1.25)', '"1.25"'],
    ['SIGN(-2.5)', '"-1.0"'],
    ['CEIL(-1.5)', '"-1"'],
    ['FLOOR(-1.5)', '"-2"'],
    ['CEIL(CAST(1.2 AS DOUBLE))', '2'],
    ['ROUND(CAST(2.675 AS DOUBLE), 2)', '2.68'],
    ['ROUND(CAST(-2.5 AS DOUBLE))', '-3'],
    ['TRUNCATE(42.345, 2)', '"42.34"'],
    ['TRUNCATE(CAST(42.345 AS DOUBLE), -1)', '40'],
    ['POWER(2, 10)', '1024'],
    ['MOD(10, 4)', '2'],
    ["BIN(4) || HEX(20) || HEX('hello,world')", '"1001468656C6C6F2C776F726C64"'],
    ['GREATEST(1, 5, 3)', '5'],
    ['LEAST(1.5, 2, CAST(NULL AS INT))', 'null'],
    ['RAND(1) = RAND(1)', 'true'],
    ['RAND_INTEGER(7, 10) BETWEEN 0 AND 9', 'true'],
  ],
  logic: [
    ['CAST(NULL AS BOOLEAN) AND FALSE', 'false'],
    ['CAST(NULL AS BOOLEAN) OR TRUE', 'true'],
    ['1 IN (2, NULL)', 'null'],
    ['1 NOT IN (2, 3)', 'true'],
    ["'b' IN ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j')", 'true'],
    ['5 BETWEEN SYMMETRIC 9 AND 1', 'true'],
    ['NULLIF(1, 1)', 'null'],
    ["IF(1 > 2, 'a', 'bc')", '"bc"'],
    ['CASE WHEN 1 = 2 THEN 1 END', 'null'],
    ['CAST(NULL AS INT) IS DISTINCT FROM 1', 'true'],
    ["'10' > 9", 'true'],
    ["DATE '2026-01-01' = '2026-01-01'", 'true'],
    ['ROW(1, 2) = ROW(1, 2)', 'true'],
  ],
  text: [
    ["SUBSTRING('hello', -3, 2)", '"ll"'],
    ["LEFT('😀ab', 2)", '"😀a"'],
    ["RIGHT('ab😀', 2)", '"b😀"'],
    ["POSITION('b' IN '😀b')", '2'],
    ["LOCATE('a', 'banana', 3)", '4'],
    ["INSTR('banana', 'a', -1, 2)", '4'],
    ["INSTR('banana', 'a', 1, 3)", '6'],
    ["TRIM(BOTH 'x' FROM 'xxaxx')", '"a"'],
    ["TRIM(LEADING 'x' FROM 'xxaxx')", '"axx"'],
    ["LTRIM('  a ')", '"a "'],
    ["BTRIM('--a-', '-')", '"a"'],
    ["LPAD('hi', 5, 'xy')", '"xyxhi"'],
    ["RPAD('hello', 2, 'x')", '"he"'],
    ["LPAD('hi', -1, 'x')", 'null'],
    ["REPEAT('ab', 3)", '"ababab"'],
    ["CONCAT_WS('-', 'a', CAST(NULL AS STRING), 'b')", '"a-b"'],
    ["CONCAT('a', CAST(NULL AS STRING))", 'null'],
    ["INITCAP('i have a dream')", '"I Have A Dream"'],
    ["TRANSLATE('hello', 'el', 'ip')", '"hippo"'],
    ["SPLIT_INDEX('a,b,c', ',', 1)", '"b"'],
    ["ELT(2, 'a', 'b')", '"b"'],
    ["STARTSWITH('hello', 'he') AND NOT ENDSWITH('hello', 'he')", 'true'],
    ["REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)', 1)", '"the"'],
    ["REGEXP_EXTRACT_ALL('100-200, 300-400', '(\\d+)-(\\d+)', 1)", '["100","300"]'],
    ["REGEXP_COUNT('the fat cat', 'at')", '2'],
    ["REGEXP_INSTR('abcde', 'c.')", '3'],
    ["REGEXP_SUBSTR('a1b22', '[0-9]{2}')", '"22"'],
    ["REGEXP('ABC', '(?i)abc')", 'true'],
    ["'abc' SIMILAR TO '(a|x)(b|y)%'", 'true'],
    ["'a.c' SIMILAR TO 'a.d'", 'false'],
    ["'1.5' SIMILAR TO '[0-9.]+'", 'true'],
    ["'1x5' SIMILAR TO '[0-9.]+'", 'false'],
    ["'a.b@c.de' SIMILAR TO '[a-z0-9.-]+@[a-z0-9.-]+'", 'true'],
    ["'a_c' LIKE 'a!_c' ESCAPE '!'", 'true'],
    // What is between two % is found once, from the left; what is behind the last one stands at the end.
    ["'abcabd' LIKE 'a%ab_'", 'true'],
    ["'abcab' LIKE 'ab%b%b'", 'false'],
    ["'aXbXbc' LIKE 'a%b%bc'", 'true'],
    ["'ab' LIKE 'ab%b'", 'false'],
    ["'a' LIKE '%a%a%'", 'false'],
    ["'😀x😀' LIKE '_%_'", 'true'],
    ["'😀' LIKE '__%'", 'false'],
    ["U&'a\\000ab' LIKE 'a_b%'", 'false'],
    ["U&'a\\000ab' LIKE 'a%_'", 'true'],
    ["REPEAT('a', 2000) LIKE '%a%a%a%a%a%a%a%a%a%a%b'", 'false'],
    ["URL_ENCODE('a b&c~é')", '"a+b%26c%7E%C3%A9"'],
    ["URL_DECODE('a+b%26c%')", 'null'],
    ["FROM_BASE64(TO_BASE64('héllo'))", '"héllo"'],
    ["DECODE(ENCODE('hé', 'UTF-16'), 'UTF-16')", '"hé"'],
    ["UNHEX('ABC')", '"0x00bc"'],
    ["PARSE_URL('http://h.org/p?k=v', 'FILE')", '"/p?k=v"'],
    ["IS_DIGIT('12') AND IS_ALPHA('ab') AND IS_DECIMAL('1.5') AND NOT IS_DIGIT('a')", 'true'],
  ],
  casts: [
    ["CAST(' 42 ' AS INT)", '42'],
    ["CAST('-7.9' AS INT)", '-7'],
    ["TRY_CAST('2147483648' AS INT)", 'null'],
    ["TRY_CAST('1e3' AS INT)", 'null'],
    ["CAST('1e3' AS DOUBLE)", '1000'],
    ["CAST('1e3' AS DECIMAL(10,2))", '"1000.00"'],
    ["CAST('yes' AS BOOLEAN)", 'true'],
    ["TRY_CAST('maybe' AS BOOLEAN)", 'null'],
    ['CAST(TRUE AS STRING)', '"TRUE"'],
    ['CAST(300 AS TINYINT)', '44'],
    ['CAST(CAST(1e10 AS DOUBLE) AS SMALLINT)', '-1'],
    ['CAST(1.99 AS INT)', '1'],
    ['CAST(CAST(0.1 AS FLOAT) AS DECIMAL(5,3))', '"0.100"'],
    ["CAST(DATE '2026-03-01' AS TIMESTAMP(3))", '"2026-03-01 00:00:00.000"'],
    ["CAST(TIMESTAMP '2026-03-01 12:34:56.123456' AS STRING)", '"2026-03-01 12:34:56.123456"'],
    ["CAST(TIMESTAMP '2026-03-01 12:34:56.789' AS TIME)", '"12:34:56.789"'],
    ["CAST(INTERVAL '1 02:03:04' DAY TO SECOND AS STRING)", '"+1 02:03:04.000"'],
    ['CAST(ARRAY[1, NULL] AS STRING)', '"[1, NULL]"'],
    ["CAST(MAP['a', 1] AS STRING)", '"{a=1}"'],
    ["CAST(ROW(1, 'x') AS STRING)", '"(1, x)"'],
    ["CAST(ARRAY['1', '2'] AS ARRAY<INT>)", '[1,2]'],
    ["TRY_CAST(ARRAY['1', 'x'] AS ARRAY<INT>)", 'null'],
    ["CAST('ab' AS BINARY(3))", '"0x616200"'],
  ],
  temporal: [
    ["EXTRACT(DECADE FROM DATE '2026-05-01')", '202'],
    ["EXTRACT(CENTURY FROM DATE '2000-05-01')", '20'],
    ["EXTRACT(MILLENNIUM FROM DATE '2026-05-01')", '3'],
    ["EXTRACT(WEEK FROM DATE '2021-01-03')", '53'],
    ["EXTRACT(ISODOW FROM DATE '2021-01-03')", '7'],
    ["DAYOFWEEK(DATE '2021-01-03')", '1'],
    ["EXTRACT(DAY FROM INTERVAL '3 04:00:00' DAY TO SECOND)", '3'],
    ["FLOOR(TIMESTAMP '2026-05-17 13:45:59' TO QUARTER)", '"2026-04-01 00:00:00.000"'],
    ["CEIL(TIMESTAMP '2026-05-17 13:45:59' TO HOUR)", '"2026-05-17 14:00:00.000"'],
    ["FLOOR(DATE '2026-05-17' TO DECADE)", '"2020-01-01"'],
    ["DATE '2024-01-31' + INTERVAL '1' MONTH", '"2024-02-29"'],
    ["TIMESTAMP '2024-02-29 10:00:00' - INTERVAL '1' YEAR", '"2023-02-28 10:00:00.000"'],
    ["INTERVAL '1' DAY * 2 + INTERVAL '1' HOUR", '"PT49H"'],
    ["TIMESTAMPADD(MONTH, -1, DATE '2024-03-31')", '"2024-02-29"'],
    ["TIMESTAMPADD(HOUR, 1, TIMESTAMP '2024-12-31 23:30:00')", '"2025-01-01 00:30:00.000"'],
    ["TIMESTAMPDIFF(DAY, DATE '2024-02-28', DATE '2024-03-01')", '2'],
    ["DATE_FORMAT(TIMESTAMP '2026-01-05 15:04:05.678', 'EEE, dd MMM yyyy hh:mm:ss.SSS a')", '"Mon, 05 Jan 2026 03:04:05.678 PM"'],
    ["DATE_FORMAT('2026-01-05 15:04:05', 'yyyyMMdd''T''HH')", '"20260105T15"'],
    ["TO_TIMESTAMP('20260105 150405', 'yyyyMMdd HHmmss')", '"2026-01-05 15:04:05.000"'],
    ["TO_TIMESTAMP('05-Jan-26 3 PM', 'dd-MMM-yy h a')", '"2026-01-05 15:00:00.000"'],
    ["TO_DATE('05/01/2026', 'dd/MM/yyyy')", '"2026-01-05"'],
    ["TO_DATE('2026-02-30')", 'null'],
    ['TO_TIMESTAMP_LTZ(1767225600, 0)', '"2026-01-01 00:00:00.000Z"'],
    ['TO_TIMESTAMP_LTZ(1767225600123, 3)', '"2026-01-01 00:00:00.123Z"'],
    ['FROM_UNIXTIME(44)', '"1970-01-01 00:00:44"'],
    ["UNIX_TIMESTAMP('1970-01-01 00:01', 'yyyy-MM-dd HH:mm')", '60'],
    ["CONVERT_TZ('2026-03-29 02:30:00', 'Europe/Paris', 'UTC')", '"2026-03-29 01:30:00"'],
    ["(TIME '10:00:00', TIME '11:00:00') OVERLAPS (TIME '10:30:00', INTERVAL '1' HOUR)", 'true'],
  ],
  collections: [
    ['ARRAY[1, 2, 3][2]', '2'],
    ['ARRAY_CONTAINS(ARRAY[1, 2], 2)', 'true'],
    ['ARRAY_POSITION(ARRAY[1, 2, 2], 2)', '2'],
    ['ARRAY_REMOVE(ARRAY[1, 2, 2, 3], 2)', '[1,3]'],
    ['ARRAY_DISTINCT(ARRAY[1, 2, 1, NULL, NULL])', '[1,2,null]'],
    ['ARRAY_UNION(ARRAY[1, 2], ARRAY[2, 3])', '[1,2,3]'],
    ['ARRAY_EXCEPT(ARRAY[1, 2, 2, 3], ARRAY[2])', '[1,3]'],
    ['ARRAY_INTERSECT(ARRAY[1, 2, 3], ARRAY[3, 2])', '[2,3]'],
    ['ARRAY_CONCAT(ARRAY[1], ARRAY[2, 3])', '[1,2,3]'],
    ['ARRAY_SLICE(ARRAY[1, 2, 3, 4], 2, 3)', '[2,3]'],
    ['ARRAY_SLICE(ARRAY[1, 2, 3, 4], -2)', '[3,4]'],
    ['ARRAY_REVERSE(ARRAY[1, 2])', '[2,1]'],
    ['ARRAY_APPEND(ARRAY[1], NULL)', '[1,null]'],
    ['ARRAY_PREPEND(ARRAY[1], 0)', '[0,1]'],
    ['ARRAY_MAX(ARRAY[1, 3, NULL])', '3'],
    ["MAP_ENTRIES(MAP['a', 1])", '[["a",1]]'],
    ["MAP['a', 1]['b']", 'null'],
    ["CARDINALITY(MAP['a', 1, 'a', 2])", '1'],
    ["SPLIT('a,b', ',')", '["a","b"]'],
  ],
  json: [
    ["JSON_VALUE('{\"a\":1.0}', '$.a')", '"1.0"'],
    ["JSON_VALUE('{\"a\":12345678901234567890}', '$.a')", '"12345678901234567890"'],
    ["JSON_VALUE('{\"a\":[5,6]}', '$.a[1]' RETURNING INTEGER)", '6'],
    ["JSON_VALUE('{\"a b\":true}', '$[''a b'']' RETURNING BOOLEAN)", 'true'],
    ["JSON_QUERY('{\"a\":{\"b\":[1,{\"c\":null}]}}', '$.a')", '"{\\"b\\":[1,{\\"c\\":null}]}"'],
    ["JSON_QUERY('{\"a\":1}', '$.a' WITH WRAPPER)", '"[1]"'],
    ["JSON_QUERY('{\"a\":[1,2]}', '$.a[*]')", '"[1,2]"'],
    ["JSON_QUERY('{\"a\":[{\"b\":1},{\"b\":2}]}', '$..b')", '"[1,2]"'],
    ["JSON_EXISTS('{\"a\":[1,2]}', '$.a[?(@ > 1)]')", 'true'],
    ["JSON_STRING(ARRAY[1.50, NULL])", '"[1.50,null]"'],
    ["JSON_OBJECT('b' VALUE 1, 'a' VALUE JSON_ARRAY(1, 'x'))", '"{\\"a\\":[1,\\"x\\"],\\"b\\":1}"'],
    ["JSON_QUOTE('é\"')", '"\\"\\\\u00e9\\\\\\"\\""'],
    ["JSON_UNQUOTE('\"\\u0041\"')", '"A"'],
    ["'[1]' IS JSON ARRAY AND '1' IS JSON SCALAR AND 'x' IS NOT JSON", 'true'],
  ],
} // biome-ignore format: one case a line

for (const [family, cases] of Object.entries(table)) {
  test(`${family}: values`, () => {
    for (const [sql, expected] of cases) check(sql, expected)
  })
}

test('what cannot be computed fails with a code and a next step', () => {
  const failing: [string, string][] = [
    ["CAST('twelve' AS INT)", 'EXPRESSION_CAST_FAILED'],
    ["CAST('2026-02-30' AS DATE)", 'EXPRESSION_CAST_FAILED'],
    ['1 / 0', 'EXPRESSION_DIVISION_BY_ZERO'],
    ['1.5 % 0', 'EXPRESSION_DIVISION_BY_ZERO'],
    ["REPEAT('x', 2000000000)", 'EXPRESSION_ARGUMENT_INVALID'],
    ["'a' LIKE 'a!b' ESCAPE '!'", 'EXPRESSION_ARGUMENT_INVALID'],
    ["DATE_FORMAT(TIMESTAMP '2026-01-01 00:00:00', 'yyyy-bb')", 'EXPRESSION_ARGUMENT_INVALID'],
    ["TIMESTAMPADD(YEAR, 9223372036854775807, DATE '2026-01-01')", 'EXPRESSION_ARGUMENT_INVALID'],
    ["TIMESTAMPADD(DAY, -2147483648, TIMESTAMP '2026-01-01 00:00:00')", 'EXPRESSION_ARGUMENT_INVALID'],
    ["JSON_VALUE('{}', '$$' ERROR ON ERROR)", 'EXPRESSION_ARGUMENT_INVALID'],
    ["CONVERT_TZ('2026-01-01 00:00:00', 'UTC', 'Mars/Base')", 'EXPRESSION_ARGUMENT_INVALID'],
  ]
  for (const [sql, code] of failing) {
    assert.throws(
      () => evaluateConstant(bind(sql)),
      (error) => isStreamError(error) && error.code === code && error.hint !== '',
      sql,
    )
  }
})

test('time comes from the batch, in the session zone', () => {
  const fields: Field[] = [{ name: 'ts', type: t.timestamp(3) }]
  const batch = batchOf(fields, [[0], [1]], { processingTimeMs: 1_767_225_600_500, watermarksBefore: Float64Array.of(Number.NEGATIVE_INFINITY, 7) })
  const ts: Expr = { kind: 'column', index: 0, type: t.timestamp(3) }
  const calls = [resolveCall('CURRENT_TIMESTAMP', []), resolveCall('CURRENT_DATE', []), resolveCall('LOCALTIMESTAMP', []), resolveCall('CURRENT_TIME', []), resolveCall('UNIX_TIMESTAMP', []), resolveCall('CURRENT_WATERMARK', [ts])]
  const result = compileCalc({ projections: calls }, fields, { timeZone: 'America/New_York' })(batch, assert.fail)!
  const row = (index: number) => result.columns.map((column, i) => formatValue(column.nulls?.[index] ? null : (column as { data: unknown[] }).data[index], calls[i].type))
  assert.deepEqual(row(0), ['2026-01-01 00:00:00.500Z', '2025-12-31', '2025-12-31 19:00:00.500', '19:00:00', 1_767_225_600n, null])
  assert.equal(row(1)[5], '1970-01-01 00:00:00.007')
}) // biome-ignore format: one table

// Samples of every kind of value, NULL among them, with the edges that break functions.
const samples: { type: Expr['type']; values: unknown[] }[] = [
  { type: t.string(), values: ['', 'a', '😀', '2026-01-01 00:00:00', '{"a":1}', '$.a', '(', 'UTC', 'yyyy', null] },
  { type: t.int(), values: [0, 1, -1, 5, 256, 2_147_483_647, -2_147_483_648, 3, 100, null] },
  { type: t.bigint(), values: [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 7n, 1000n, 2n, 3n, null] },
  { type: t.double(), values: [0, -0, 1.5, Number.NaN, Number.POSITIVE_INFINITY, -1e300, 1e-300, 3, 7, null] },
  { type: t.decimal(10, 3), values: [0n, 1n, -1500n, 9_999_999_999n, 2500n, 1000n, 7n, 5n, 500n, null] },
  { type: t.boolean(), values: [true, false, null, true, false, null, true, false, true, null] },
  { type: t.bytes(), values: [new Uint8Array(), Uint8Array.of(0, 255), Uint8Array.of(65), ...new Array(7).fill(null)] },
  { type: t.timestamp(3), values: [0, -1, 1_767_225_600_123, -62_135_596_800_000, 253_402_300_799_999, 5, 6, 7, 8, null] },
  { type: t.timestamp(9), values: [0n, -1n, 1_767_225_600_123_456_789n, 5n, 6n, 7n, 8n, 9n, 10n, null] },
  { type: t.date(), values: [0, -1, 20_454, 2_932_896, -719_162, 5, 6, 7, 8, null] },
  { type: t.array(t.int()), values: [[], [1, null, 2], [null], [1, 1], [3], [5], [6], [7], [8], null] },
  { type: t.map(t.string(), t.int()), values: [new Map(), new Map([['a', 1]]), new Map([['a', null]]), ...new Array(7).fill(null)] },
]
const sampleFields: Field[] = samples.map(({ type }, index) => ({ name: `c${index}`, type }))
const sampleBatch = batchOf(
  sampleFields,
  Array.from({ length: 10 }, (_, row) => samples.map(({ values }) => values[row])),
)

test('no function fails in another way than with an error of its own, whatever it is given', () => {
  const columns = sampleFields.map(({ type }, index): Expr => ({ kind: 'column', index, type }))
  const combinations: Expr[][] = [[], ...columns.map((a) => [a]), ...columns.flatMap((a) => columns.map((b) => [a, b]))]
  const [text, int] = columns
  combinations.push([text, text, text], [text, text, int], [text, int, int], [text, int, text], [text, text, int, int], [columns[5], text, text], [columns[10], int, int])
  const units = ['YEAR', 'MONTH', 'WEEK', 'DAY', 'HOUR', 'SECOND', 'DECADE', 'EPOCH']
  const untried: string[] = []
  let computed = 0
  for (const name of scalarFunctionNames()) {
    let tried = 0
    for (const args of combinations) {
      let expr: Expr
      try {
        const isWhole = name === 'FLOOR' || name.startsWith('CEIL')
        const options = isWhole && !['DATE', 'TIMESTAMP'].includes(args[0]?.type.kind) ? {} : { unit: units[tried % units.length] }
        expr = resolveCall(name, args, { options })
      } catch (error) {
        assert.ok(isStreamError(error), `${name}: ${error}`)
        continue
      }
      if (++tried > 16) break
      let column: ReturnType<ReturnType<typeof compileCalc>>
      try {
        column = compileCalc({ projections: [expr] }, sampleFields)(sampleBatch, (_, error) => {
          assert.ok(isStreamError(error), `${name}(${args.map((arg) => formatType(arg.type))}): ${error.stack}`)
        })
      } catch (error) {
        // A unit that does not fit is known when the call is compiled.
        assert.ok(isStreamError(error), `${name}(${args.map((arg) => formatType(arg.type))}): ${(error as Error).stack}`)
        continue
      }
      computed += column?.rowCount ?? 0
      for (let row = 0; column !== undefined && row < column.rowCount; row++) {
        const [one] = column.columns
        if (one.nulls?.[row] !== 1) formatValue(one.lane === 'utf8' ? '' : one.lane === 'u8' ? one.data[row] === 1 : one.data[row], expr.type)
      }
    }
    if (tried === 0) untried.push(name)
  }
  assert.deepEqual(untried, ['ARRAY_JOIN'])
  assert.ok(computed > 5000, String(computed))
}) // biome-ignore format: long lists
