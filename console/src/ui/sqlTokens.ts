// Light highlighting of SQL: enough for the eye, not a parser (the server has that).
export type SqlTokenKind = 'keyword' | 'type' | 'function' | 'string' | 'number' | 'comment' | 'text'
export interface SqlToken {
  kind: SqlTokenKind
  text: string
}

const keywords = new Set(
  (
    'ADD ALL ALTER AND AS ASC BEGIN BETWEEN BY CASE CAST COMMENT CREATE CROSS CUBE CURRENT DEFINE DESC DESCRIPTOR DISTINCT DROP ELSE END ENFORCED ' +
    'EXCEPT EXISTS EXPLAIN FALSE FETCH FILTER FIRST FOLLOWING FOR FRESHNESS FROM FULL FUNCTION GROUP GROUPING HAVING IF IN INNER INSERT INTERSECT ' +
    'INTERVAL INTO IS JOIN KEY LAST LATERAL LEFT LIKE LIMIT MATCH_RECOGNIZE MATERIALIZED MEASURES METADATA NOT NULL NULLS OF OFFSET ON OR ORDER OUTER ' +
    'OVER PARTITION PATTERN PRECEDING PRIMARY RANGE RIGHT ROLLUP ROW ROWS SELECT SET SETS STATEMENT TABLE TEMPORARY THEN TO TRUE UNBOUNDED UNION ' +
    'UNNEST UPDATE USING VALUES VIEW VIRTUAL WATERMARK WHEN WHERE WITH WITHIN SECOND MINUTE HOUR DAY MONTH YEAR'
  ).split(' '),
)
const types = new Set(
  'ARRAY BIGINT BOOLEAN BYTES CHAR DATE DECIMAL DOUBLE FLOAT INT INTEGER MAP MULTISET SMALLINT STRING TIME TIMESTAMP TIMESTAMP_LTZ TINYINT VARCHAR'.split(
    ' ',
  ),
)

const pattern = /(--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|('(?:[^']|'')*'?)|(`[^`]*`?)|(\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b)|([A-Za-z_]\w*)/g

/** Cuts SQL into tokens whose texts, joined, are the input. */
export function sqlTokens(sql: string): SqlToken[] {
  const tokens: SqlToken[] = []
  let end = 0
  for (const match of sql.matchAll(pattern)) {
    if (match.index > end) tokens.push({ kind: 'text', text: sql.slice(end, match.index) })
    const text = match[0]
    end = match.index + text.length
    const [, comment, string, , number, word] = match
    let kind: SqlTokenKind = 'text'
    if (comment) kind = 'comment'
    else if (string) kind = 'string'
    else if (number) kind = 'number'
    else if (word && keywords.has(word.toUpperCase())) kind = 'keyword'
    else if (word && types.has(word.toUpperCase())) kind = 'type'
    else if (word && /^\s*\(/.test(sql.slice(end, end + 8))) kind = 'function'
    tokens.push({ kind, text })
  }
  if (end < sql.length) tokens.push({ kind: 'text', text: sql.slice(end) })
  return tokens
}
