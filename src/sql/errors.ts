// The errors of the SQL layer. `position` points into the statement's text (for a script: into the whole script).
import { defineErrors, spec, type TextPosition } from '../base/index.ts'
import type { Span } from './ast.ts'
import { bareCalls } from './keywords.ts'

const user = { kind: 'user', httpStatus: 400, retry: 'never' } as const
const listed = (items: string[], countMax = 8): string => {
  const shown = items.slice(0, countMax)
  if (items.length > countMax) return `${shown.join(', ')} …`
  return shown.length > 1 ? `${shown.slice(0, -1).join(', ')} or ${shown.at(-1)}` : (shown[0] ?? 'nothing')
}

/** Where it is: the binder knows the span, the statement's text gives the position. */
interface Placed {
  span?: Span
  position?: TextPosition
}

const isOne = (names: readonly string[]): boolean => new Set(names).size === 1

export const sqlErrors = defineErrors({
  // ---- parser
  SQL_SYNTAX: spec<{ found: string; expected: string[]; nearest?: string; written?: string; advice?: string; position: TextPosition }>({
    ...user,
    message: (p) => `line ${p.position.line}, column ${p.position.column}: found ${p.found}, expected ${listed(p.expected)}`,
    hint: (p) =>
      p.advice ??
      (p.nearest ? `Did you mean ${p.nearest}${p.written ? ` instead of ${p.written}` : ''}?` : 'Correct the text at this position.'),
  }),
  SQL_RESERVED_WORD: spec<{ word: string; expected: string[]; position: TextPosition }>({
    ...user,
    message: (p) => `line ${p.position.line}, column ${p.position.column}: ${p.word} is a reserved word, expected ${listed(p.expected)}`,
    hint: (p) => `If it is meant as a name, write it in backquotes: \`${p.word}\`.`,
  }),
  SQL_TEXT_UNTERMINATED: spec<{ what: string; closing: string; position: TextPosition }>({
    ...user,
    message: (p) => `line ${p.position.line}, column ${p.position.column}: this ${p.what} never ends`,
    hint: (p) => `Close it with ${p.closing}.`,
  }),
  SQL_LITERAL_INVALID: spec<{ what: string; text: string; reason: string; position: TextPosition }>({
    ...user,
    message: (p) => `line ${p.position.line}, column ${p.position.column}: ${p.text} is no valid ${p.what}`,
    hint: (p) => p.reason,
  }),
  SQL_TYPE_UNKNOWN: spec<{ name: string; nearest?: string; position: TextPosition }>({
    ...user,
    message: (p) => `line ${p.position.line}, column ${p.position.column}: unknown type ${p.name}`,
    hint: (p) =>
      p.nearest ? `Did you mean ${p.nearest}?` : 'Use one of Flink’s types, such as STRING, BIGINT, DOUBLE, DECIMAL(p, s), TIMESTAMP(3).',
  }),
  SQL_TYPE_INVALID: spec<{ type: string; reason: string; position: TextPosition }>({
    ...user,
    message: (p) => `line ${p.position.line}, column ${p.position.column}: type ${p.type} is not possible`,
    hint: (p) => p.reason,
  }),
  SQL_NOT_SUPPORTED: spec<{ what: string; instead: string } & Placed>({
    ...user,
    message: (p) => `${p.position ? `line ${p.position.line}, column ${p.position.column}: ` : ''}${p.what} is not supported`,
    hint: (p) => p.instead,
  }),
  SQL_TOO_LONG: spec<{ length: number; lengthMax: number }>({
    ...user,
    httpStatus: 413,
    message: (p) => `the SQL text has ${p.length} characters, the limit is ${p.lengthMax}`,
    hint: () => 'Split the script, or send rows through a topic instead of VALUES.',
  }),
  SQL_TOO_DEEP: spec<{ levelsMax: number; position: TextPosition }>({
    ...user,
    message: (p) => `line ${p.position.line}, column ${p.position.column}: nested more than ${p.levelsMax} levels deep`,
    hint: () => 'Split the statement with views or WITH. Chains of AND and OR may have any length.',
  }),
  // ---- scalar functions; `span` is turned into a position by the binder
  SQL_FUNCTION_NOT_FOUND: spec<{ fn: string; nearest?: string; span?: Span; position?: TextPosition }>({
    ...user,
    message: (p) => `there is no function ${p.fn}`,
    hint: (p) => {
      if (bareCalls.has(p.fn.toUpperCase())) return `A column of that name is written in backquotes: \`${p.fn.toLowerCase()}\`.`
      return p.nearest ? `Did you mean ${p.nearest}?` : 'Run SHOW FUNCTIONS to see all.'
    },
  }),
  SQL_OPTION_UNKNOWN: spec<{ option: string; connector: string; nearest?: string } & Placed>({
    ...user,
    message: (p) => `the connector "${p.connector}" has no option '${p.option}'`,
    hint: (p) => (p.nearest ? `Did you mean '${p.nearest}'?` : 'Leave it out, or look its name up in docs/sql/tables.md.'),
  }),
  SQL_OPTION_OF_FORMAT: spec<{ option: string; named: string; actual: string; instead: string } & Placed>({
    ...user,
    message: (p) => `'${p.option}' is no option of a table whose '${p.named}' is '${p.actual}'`,
    hint: (p) => p.instead,
  }),
  SQL_OPTION_OF_KEY: spec<{ option: string; format: string } & Placed>({
    ...user,
    message: (p) => `'${p.option}' is an option of a key, and the table has none`,
    hint: (p) => `Leave it out, or say which columns are the key: 'key.fields' = '…', 'key.format' = '${p.format}'.`,
  }),
  SQL_ALTER_INVALID: spec<{ table: string; reason: string } & Placed>({
    ...user,
    message: (p) => `table "${p.table}" cannot be altered so: ${p.reason}`,
    hint: (p) => `SHOW CREATE TABLE ${p.table} shows how it is declared.`,
  }),
  SQL_SETTING_INVALID: spec<{ key: string; value: string; expected: string; instead?: string } & Placed>({
    ...user,
    message: (p) => `${p.key}: '${p.value}' is not ${p.expected}`,
    hint: (p) => p.instead ?? `Write ${p.expected}.`,
  }),
  SQL_SETTING_UNKNOWN: spec<{ key: string; nearest?: string } & Placed>({
    ...user,
    message: (p) => `there is no setting '${p.key}'`,
    hint: (p) => (p.nearest ? `Did you mean '${p.nearest}'?` : 'docs/sql/statements.md lists those that have an effect.'),
  }),
  SQL_FUNCTION_SIGNATURE: spec<{ fn: string } & Placed>({
    ...user,
    message: (p) => `function ${p.fn} has no signature`,
    hint: (p) => `Say what its values are: CREATE FUNCTION ${p.fn} (price DOUBLE) RETURNS STRING LANGUAGE TYPESCRIPT AS 'file.ts'.`,
  }),
  SQL_FUNCTION_LANGUAGE: spec<{ fn: string; language: string } & Placed>({
    ...user,
    message: (p) => `function ${p.fn} is written in ${p.language}, which does not run here`,
    hint: () =>
      'Write it in TypeScript, with a signature: CREATE FUNCTION f (a INT) RETURNS INT LANGUAGE TYPESCRIPT AS …; or run the query on Flink.',
  }),
  SQL_FUNCTION_MISPLACED: spec<{ fn: string; kind: string } & Placed>({
    ...user,
    message: (p) => `${p.fn} is ${p.kind === 'aggregate' ? 'an aggregate' : `a ${p.kind}`} function, and cannot stand here`,
    hint: (p) =>
      p.kind === 'table'
        ? `Write FROM …, LATERAL TABLE(${p.fn}(…)) AS r.`
        : 'A scalar function gives one value for a row, an aggregate one for a group.',
  }),
  SQL_ARGUMENTS_INVALID: spec<{ fn: string; types: string[]; expected: string; span?: Span; position?: TextPosition }>({
    ...user,
    message: (p) => `${p.fn} cannot be applied to (${p.types.join(', ')})`,
    hint: (p) => `Expected: ${p.expected}. CAST(… AS …) changes a type.`,
  }),
  SQL_NULL_UNTYPED: spec<{ where: string } & Placed>({
    ...user,
    message: (p) => `a NULL without a type cannot stand in ${p.where}`,
    hint: () => 'Write CAST(NULL AS STRING), or the type that is meant.',
  }),
  SQL_CAST_INVALID: spec<{ from: string; to: string; span?: Span; position?: TextPosition }>({
    ...user,
    message: (p) => `${p.from} cannot be cast to ${p.to}`,
    hint: () => 'Go through STRING, or use a function that reads the value, such as TO_TIMESTAMP.',
  }),
  // ---- binder; `span` is turned into a position when the statement is known
  SQL_LITERAL_UNREADABLE: spec<{ text: string; expected: string } & Placed>({
    ...user,
    message: (p) => `'${p.text}' is not ${p.expected}`,
    hint: (p) => `Write ${p.expected}.`,
  }),
  SQL_TABLE_NOT_FOUND: spec<{ table: string; nearest?: string } & Placed>({
    ...user,
    message: (p) => `table "${p.table}" does not exist`,
    hint: (p) => (p.nearest ? `Did you mean "${p.nearest}"?` : 'Run SHOW TABLES to see all, or declare it with CREATE TABLE.'),
  }),
  SQL_NAME_TAKEN: spec<{ name: string; what: string } & Placed>({
    ...user,
    httpStatus: 409,
    message: (p) => `${p.what} "${p.name}" exists already`,
    hint: () => `Write IF NOT EXISTS, choose another name, or DROP it first.`,
  }),
  SQL_DATABASE_NOT_FOUND: spec<{ database: string; nearest?: string } & Placed>({
    ...user,
    message: (p) => `database "${p.database}" does not exist`,
    hint: (p) => (p.nearest ? `Did you mean "${p.nearest}"?` : 'CREATE DATABASE declares one; SHOW DATABASES lists them.'),
  }),
  SQL_DATABASE_IN_USE: spec<{ database: string; reason: string; instead: string } & Placed>({
    ...user,
    message: (p) => `database "${p.database}" cannot be dropped: ${p.reason}`,
    hint: (p) => p.instead,
  }),
  SQL_OBJECT_NOT_FOUND: spec<{ what: string; name: string; nearest?: string } & Placed>({
    ...user,
    message: (p) => `${p.what} "${p.name}" does not exist`,
    hint: (p) => (p.nearest ? `Did you mean "${p.nearest}"?` : 'Write IF EXISTS where that is no mistake.'),
  }),
  SQL_HINT_TABLE: spec<{ hint: string; table: string; tables: string[] } & Placed>({
    ...user,
    message: (p) => `the hint ${p.hint} names "${p.table}", which is no table or alias of this FROM`,
    hint: (p) => (p.tables.length > 0 ? `Write ${listed(p.tables)}.` : 'Give the table an alias, and name it.'),
  }),
  SQL_OBJECT_KIND: spec<{ name: string; kind: string; wanted: string; statement: 'SHOW CREATE' | 'DROP' } & Placed>({
    ...user,
    message: (p) => `"${p.name}" is a ${p.kind}, no ${p.wanted}`,
    hint: (p) => `Write ${p.statement} ${p.kind.toUpperCase()} ${p.name}.`,
  }),
  SQL_COLUMN_NOT_FOUND: spec<{ column: string; table?: string; nearest?: string; columns?: readonly string[] } & Placed>({
    ...user,
    message: (p) =>
      `column "${p.column}" does not exist${p.columns ? '' : p.table ? ` in table "${p.table}"` : ' in any table of this query'}`,
    hint: (p) =>
      p.nearest
        ? `Did you mean "${p.nearest}"?`
        : p.columns
          ? `Known here: ${p.columns.slice(0, 8).join(', ')}${p.columns.length > 8 ? ' …' : ''}.`
          : `Run DESCRIBE ${p.table ?? 'on the tables'} to see the columns; names are case-sensitive.`,
  }),
  SQL_COLUMN_AMBIGUOUS: spec<{ column: string; tables: string[] } & Placed>({
    ...user,
    message: (p) =>
      isOne(p.tables)
        ? `column "${p.column}" exists twice in ${p.tables[0]}`
        : `column "${p.column}" exists in several tables: ${p.tables.join(', ')}`,
    hint: (p) => (isOne(p.tables) ? 'Give one of the two another name with AS.' : `Write which one: ${p.tables[0]}.${p.column}.`),
  }),
  SQL_FIELD_NOT_FOUND: spec<{ field: string; fields: string[]; nearest?: string } & Placed>({
    ...user,
    message: (p) => (p.fields.length > 0 ? `there is no field "${p.field}"` : `"${p.field}" is taken from a value that is no ROW`),
    hint: (p) =>
      p.nearest
        ? `Did you mean "${p.nearest}"?`
        : p.fields.length > 0
          ? `Its fields are ${p.fields.join(', ')}.`
          : 'Only a ROW has fields.',
  }),
  SQL_COLUMN_DUPLICATE: spec<{ column: string } & Placed>({
    ...user,
    message: (p) => `column "${p.column}" is named twice`,
    hint: () => 'Give each column a name of its own.',
  }),
  SQL_COLUMN_COUNT: spec<{ what: string; actual: number; expected: number } & Placed>({
    ...user,
    message: (p) => `${p.what} has ${p.actual} ${p.actual === 1 ? 'column' : 'columns'}, expected ${p.expected}`,
    hint: () => 'Name as many columns as there are values.',
  }),
  SQL_TYPES_DIFFER: spec<{ what: string; column: string; types: string[] } & Placed>({
    ...user,
    message: (p) => `${p.what}: column "${p.column}" has types that do not fit together: ${p.types.join(', ')}`,
    hint: () => 'Bring them to one type with CAST(… AS …).',
  }),
  SQL_NOT_BOOLEAN: spec<{ what: string; type: string } & Placed>({
    ...user,
    message: (p) => `${p.what} must be BOOLEAN, it is ${p.type}`,
    hint: () => 'Write a condition, for example a comparison.',
  }),
  SQL_EXPRESSION_MISPLACED: spec<{ what: string } & Placed>({
    ...user,
    message: (p) => `${p.what} cannot stand here`,
    hint: () => 'An expression with a value is needed.',
  }),
  SQL_NOT_CONSTANT: spec<{ what: string; expected: string } & Placed>({
    ...user,
    message: (p) => `${p.what} must be ${p.expected}`,
    hint: () => 'Write a literal: it must be known before rows arrive.',
  }),
  SQL_COLUMN_NOT_GROUPED: spec<{ column: string } & Placed>({
    ...user,
    message: (p) => `column "${p.column}" is neither grouped nor inside an aggregate`,
    hint: (p) => `Add ${p.column} to GROUP BY, or write MAX(${p.column}).`,
  }),
  SQL_AGGREGATE_MISPLACED: spec<{ name: string } & Placed>({
    ...user,
    message: (p) => `the aggregate ${p.name} cannot stand here`,
    hint: () => 'Aggregates belong into SELECT, HAVING and ORDER BY, and not inside one another; filter them with HAVING.',
  }),
  SQL_AGGREGATE_EXPECTED: spec<{ name: string; beside: string } & Placed>({
    ...user,
    message: (p) => `${p.name} is no aggregate, and takes no ${p.beside}`,
    hint: (p) => (p.beside === 'FILTER' ? 'Write CASE WHEN … THEN … END.' : `Leave out ${p.beside}.`),
  }),
  SQL_AGGREGATE_ARGUMENTS: spec<{ name: string; types: string; expected: string } & Placed>({
    ...user,
    message: (p) => `${p.name} cannot be applied to (${p.types})`,
    hint: (p) => `It takes ${p.expected}.`,
  }),
  SQL_DISTINCT_UNSUPPORTED: spec<{ name: string; types: string } & Placed>({
    ...user,
    message: (p) => `${p.name}(DISTINCT …) cannot be applied to (${p.types})`,
    hint: () => 'DISTINCT takes one argument that is no ROW, MAP or bytes; several can be joined to one text.',
  }),
  SQL_GROUPING_INVALID: spec<{ name: string } & Placed>({
    ...user,
    message: (p) => `the arguments of ${p.name} must be columns of GROUP BY`,
    hint: () => 'Write a column that is grouped, as it is written in GROUP BY.',
  }),
  SQL_WINDOW_TIME_ATTRIBUTE: spec<{ fn: string; column: string; type: string } & Placed>({
    ...user,
    message: (p) => `${p.fn} needs a time attribute, "${p.column}" is only ${p.type}`,
    hint: (p) =>
      `Declare WATERMARK FOR ${p.column} AS … in its table, and pass the column on as it is: a calculation or a join makes it an ordinary timestamp.`,
  }),
  SQL_WINDOW_ARGUMENTS: spec<{ fn: string; reason: string; expected: string } & Placed>({
    ...user,
    message: (p) => `${p.fn}: ${p.reason}`,
    hint: (p) => `Write ${p.expected}.`,
  }),
  SQL_WINDOW_NOT_GROUPED: spec<{ fn: string; window: string } & Placed>({
    ...user,
    message: (p) => `${p.fn} has no matching ${p.window} in GROUP BY`,
    hint: (p) => `Group by ${p.window}(…) with the same arguments.`,
  }),
  SQL_TABLE_FUNCTION_NOT_FOUND: spec<{ fn: string; nearest?: string } & Placed>({
    ...user,
    message: (p) => `there is no table function ${p.fn}`,
    hint: (p) => (p.nearest ? `Did you mean ${p.nearest}?` : 'Table functions are TUMBLE, HOP, CUMULATE, SESSION and UNNEST.'),
  }),
  SQL_OVER_MISSING: spec<{ name: string } & Placed>({
    ...user,
    message: (p) => `${p.name} needs OVER (…)`,
    hint: (p) => `Write ${p.name}(…) OVER (PARTITION BY … ORDER BY …).`,
  }),
  SQL_OVER_WINDOWS_DIFFER: spec<Placed>({
    ...user,
    message: () => 'all OVER windows of one SELECT must be the same',
    hint: () => 'Compute each window in a sub-query of its own.',
  }),
  SQL_OVER_UNSUPPORTED: spec<{ reason: string; instead: string } & Placed>({
    ...user,
    message: (p) => `this OVER window cannot be computed on a stream: ${p.reason}`,
    hint: (p) => p.instead,
  }),
  SQL_WINDOW_NAME_NOT_FOUND: spec<{ name: string; nearest?: string } & Placed>({
    ...user,
    message: (p) => `there is no window "${p.name}" in the WINDOW clause`,
    hint: (p) => (p.nearest ? `Did you mean "${p.nearest}"?` : `Add WINDOW ${p.name} AS (…) after the query.`),
  }),
  SQL_RANK_UNSUPPORTED: spec<{ fn: string } & Placed>({
    ...user,
    message: (p) => `the first N rows cannot be taken by ${p.fn}`,
    hint: () => 'Use ROW_NUMBER().',
  }),
  SQL_SORT_UNSUPPORTED: spec<{ column: string } & Placed>({
    ...user,
    message: (p) => `an endless table cannot be sorted by "${p.column}"`,
    hint: () => 'Order by a time attribute first (ascending), or add LIMIT.',
  }),
  SQL_UPDATING_INPUT: spec<{ what: string } & Placed>({
    ...user,
    message: (p) => `${p.what} cannot work on rows that are updated or deleted later`,
    hint: () => 'Its input must be append-only: for example a window aggregate in place of a plain GROUP BY.',
  }),
  SQL_JOIN_TYPE_MISMATCH: spec<{ left: string; right: string } & Placed>({
    ...user,
    message: (p) => `columns of types ${p.left} and ${p.right} cannot be joined`,
    hint: () => 'Bring them to one type with CAST(… AS …).',
  }),
  SQL_TEMPORAL_JOIN: spec<{ reason: string; instead: string } & Placed>({
    ...user,
    message: (p) => `FOR SYSTEM_TIME AS OF: ${p.reason}`,
    hint: (p) => p.instead,
  }),
  SQL_SUBQUERY_MISPLACED: spec<Placed>({
    ...user,
    message: () => 'a sub-query cannot stand here',
    hint: () => 'Compute it in a sub-query of FROM, or in WITH, and join it.',
  }),
  SQL_CORRELATION_UNSUPPORTED: spec<{ what: string } & Placed>({
    ...user,
    message: (p) => `the sub-query uses columns of the query around it in a way that cannot be turned into a join: ${p.what}`,
    hint: () => 'Compare the outer columns with = in its WHERE, or write the join yourself.',
  }),
  SQL_MATCH_UNSUPPORTED: spec<{ what: string; instead: string } & Placed>({
    ...user,
    message: (p) => `MATCH_RECOGNIZE: ${p.what}`,
    hint: (p) => p.instead,
  }),
  SQL_MATCH_VARIABLE: spec<{ name: string; nearest?: string } & Placed>({
    ...user,
    message: (p) => `"${p.name}" is no variable of the pattern`,
    hint: (p) => (p.nearest ? `Did you mean "${p.nearest}"?` : 'DEFINE, SUBSET and AFTER MATCH use variables of PATTERN.'),
  }),
  SQL_WATERMARK_INVALID: spec<{ column: string; type: string } & Placed>({
    ...user,
    message: (p) => `a watermark needs a TIMESTAMP(0 … 3) or TIMESTAMP_LTZ(0 … 3), column "${p.column}" gives ${p.type}`,
    hint: (p) => `Declare "${p.column}" as TIMESTAMP(3), or add a computed column: ts AS TO_TIMESTAMP(…).`,
  }),
  SQL_KEY_INVALID: spec<{ column: string; reason: string } & Placed>({
    ...user,
    message: (p) => `column "${p.column}" cannot be part of the PRIMARY KEY: ${p.reason}`,
    hint: () => 'A key is made of physical columns, each named once.',
  }),
  SQL_DISTRIBUTION_INVALID: spec<{ reason: string } & Placed>({
    ...user,
    message: (p) => `DISTRIBUTED: ${p.reason}`,
    hint: () => 'Write DISTRIBUTED BY (column) INTO 4 BUCKETS.',
  }),
  SQL_KEY_MISSING: spec<{ table: string; columns: string[] } & Placed>({
    ...user,
    message: (p) => `the rows of "${p.table}" have no key that follows from the query`,
    hint: (p) => `Declare one: CREATE MATERIALIZED TABLE ${p.table} (PRIMARY KEY (${p.columns.join(', ')}) NOT ENFORCED) …`,
  }),
  SQL_KEY_REQUIRED: spec<{ table: string; connector: string } & Placed>({
    ...user,
    message: (p) => `table "${p.table}" with connector ${p.connector} needs a PRIMARY KEY`,
    hint: () => 'Add PRIMARY KEY (…) NOT ENFORCED to its columns.',
  }),
  SQL_SINK_APPEND_ONLY: spec<{ table: string; connector: string } & Placed>({
    ...user,
    message: (p) => `table "${p.table}" (connector ${p.connector}) takes only new rows, the query updates and deletes rows`,
    hint: () => "Write to a table with 'connector' = 'upsert-kafka' and a PRIMARY KEY, or aggregate by windows.",
  }),
  SQL_INSERT_TYPE: spec<{ table: string; column: string; from: string; to: string } & Placed>({
    ...user,
    message: (p) => `column "${p.column}" of "${p.table}" is ${p.to}, the query gives ${p.from}`,
    hint: (p) => `Write CAST(… AS ${p.to}).`,
  }),
  SQL_INSERT_NULL: spec<{ table: string; column: string } & Placed>({
    ...user,
    message: (p) => `column "${p.column}" of "${p.table}" is NOT NULL and gets no value`,
    hint: () => 'Add it to the columns of the INSERT.',
  }),
  SQL_INSERT_TARGET: spec<{ table: string; what: string } & Placed>({
    ...user,
    message: (p) => `${p.what} "${p.table}" cannot be written to`,
    hint: () => 'INSERT INTO takes a table that CREATE TABLE declared.',
  }),
  SQL_VIEW_CYCLE: spec<{ view: string } & Placed>({
    ...user,
    message: (p) => `view "${p.view}" uses itself`,
    hint: () => 'A view may use only what was declared before it.',
  }),
})
