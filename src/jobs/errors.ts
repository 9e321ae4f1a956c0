// Errors of projects, pipelines and their jobs.
import { defineErrors, spec, type TextPosition } from '../base/index.ts'

export const jobErrors = defineErrors({
  FUNCTION_FILE_MISSING: spec<{ name: string; file: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `the file of function ${p.name} is not there: ${p.file}`,
    hint: () => 'The path of AS is relative to the project; the export may follow it: functions/tax.ts#tax.',
  }),
  PROJECT_NOT_FOUND: spec<{ folder: string }>({
    kind: 'user',
    httpStatus: 404,
    retry: 'never',
    message: (p) => `there is no project at "${p.folder}": it has neither pipelines/*.sql nor *.sql`,
    hint: () => 'Give the folder that holds "pipelines", or make one: a single .sql file in it is enough.',
  }),
  PIPELINE_SELECT: spec<{ file: string; position?: TextPosition }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `${p.file}: a SELECT alone has nowhere to put its rows`,
    hint: () => 'Write CREATE MATERIALIZED TABLE name AS SELECT …, or INSERT INTO table SELECT …; try a query with `millrace sql`.',
  }),
  SINK_NOT_UPDATABLE: spec<{ table: string; connector: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `the query updates its rows, but table "${p.table}" ('connector' = '${p.connector}') can only take new ones`,
    hint: () => "Use 'connector' = 'upsert-kafka' with a PRIMARY KEY, or CREATE MATERIALIZED TABLE.",
  }),
  SINK_FORMAT_UNSUPPORTED: spec<{ table: string; format: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `table "${p.table}" has the format "${p.format}", in which nothing can be written yet`,
    hint: () => "Use 'format' = 'json' for a table that is written to; 'csv' and 'raw' can be read.",
  }),
  SINK_KEY_MISSING: spec<{ table: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `table "${p.table}" ('connector' = 'upsert-kafka') has no primary key`,
    hint: () => 'Declare PRIMARY KEY (…) NOT ENFORCED in its CREATE TABLE.',
  }),
  ADHOC_READ_ONLY: spec<Record<string, never>>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: () => 'only SELECT, SHOW, DESCRIBE and EXPLAIN can be run here',
    hint: () => "Statements that create something belong into the project's SQL files: edit one, and `millrace dev` takes it up.",
  }),
  ADHOC_TOO_MANY_ROWS: spec<{ rowsMax: number }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `the result has more than ${p.rowsMax} rows`,
    hint: () => 'Aggregate, filter with WHERE, or make it a materialized table.',
  }),
  ADHOC_TABLE_TOO_LARGE: spec<{ table: string; rowCount: number; rowsMax: number }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `the table "${p.table}" has ${p.rowCount} rows; a query can read one of up to ${p.rowsMax}`,
    hint: (p) => `Read what you need with GET /v1/tables/${p.table}?column=value, or make the query a materialized table.`,
  }),
  LATE_TOPIC_READ: spec<{ topic: string; table: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `'millrace.late-rows.topic' = '${p.topic}' is the topic that table "${p.table}" of the same query reads`,
    hint: () => 'Late rows would come in again, late again: name another topic.',
  }),
  TABLE_DEFINED_TWICE: spec<{ table: string; file: string }>({
    kind: 'user',
    httpStatus: 400,
    retry: 'never',
    message: (p) => `${p.file}: "${p.table}" is already the name of another table or query of this project`,
    hint: () => 'Give it another name.',
  }),
})
