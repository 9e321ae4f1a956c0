// What of a script Flink would refuse or do otherwise, as far as the text alone shows it: marks for editors. The whole list, with what cannot be seen
// in a text, is docs/flink-differences.md.
import type { TextPosition } from '../base/index.ts'
import type { CreateTable, Span, Statement } from './ast.ts'
import { textPosition } from './cursor.ts'
import { settingNotices } from './settings.ts'

export interface PortabilityMark {
  /** What Flink does. */
  message: string
  /** What to write so that both do the same. */
  hint: string
  position: TextPosition
}

/** @param text  that the statements were parsed from */
export function portabilityMarks(statements: readonly Statement[], text: string): PortabilityMark[] {
  return statements
    .flatMap(marksOf)
    .map(({ span, message, hint }) => ({ message, hint, position: textPosition(text, span) }))
    .sort((a, b) => a.position.start - b.position.start)
}

interface Mark {
  span: Span
  message: string
  hint: string
}

function marksOf(statement: Statement): Mark[] {
  switch (statement.type) {
    case 'createTable':
      return [...ownOptions(statement.options), ...tableMarks(statement)]
    case 'createMaterializedTable': {
      const marks = ownOptions(statement.options)
      if (statement.freshness === undefined)
        marks.push({
          span: statement.name.span,
          message: 'Flink wants to be told how fresh a materialized table is.',
          hint: "Write FRESHNESS = INTERVAL '1' SECOND before AS; here it changes nothing.",
        })
      return marks
    }
    case 'createFunction':
      if (statement.signature === undefined) return []
      return [
        {
          span: statement.name.span,
          message: 'Flink has no functions in TypeScript.',
          hint: 'There it needs the same function in Java or Python, under this name.',
        },
      ]
    case 'set': {
      const { key, value, span } = statement
      const [message] = key === undefined || value === undefined ? [] : settingNotices(new Map([[key, value]]))
      return message ? [{ span, message, hint: 'It may stay, for Flink.' }] : []
    }
    default:
      return []
  }
}

const ownOptions = (options: CreateTable['options']): Mark[] =>
  options.flatMap(({ key, span }) =>
    key.startsWith('millrace.')
      ? [{ span, message: `Flink refuses the option '${key}'.`, hint: 'It is of Millrace alone: leave it out there.' }]
      : [],
  )

function tableMarks({ name: { span }, options, primaryKey, columns, like, query }: CreateTable): Mark[] {
  if (like !== undefined || query !== undefined) return []
  const has = (key: string): boolean => options.some((option) => option.key === key)
  const connector = options.find(({ key }) => key === 'connector')
  if (connector === undefined)
    return [
      {
        span,
        message: 'Flink refuses a table without a connector; here it is a topic.',
        hint: "Write 'connector' = 'kafka', 'topic' = '…'.",
      },
    ]
  if (connector.value !== 'kafka') return []
  const marks: Mark[] = []
  if (!has('scan.startup.mode'))
    marks.push({
      span: connector.span,
      message: "Flink begins to read at the group's offsets, Millrace at the earliest record.",
      hint: "Write 'scan.startup.mode' = 'earliest-offset', then both do.",
    })
  if (primaryKey !== undefined || columns.some((column) => column.kind === 'physical' && column.primaryKey))
    marks.push({
      span,
      message: "Flink's 'kafka' takes no PRIMARY KEY.",
      hint: "'upsert-kafka' has one; it takes each record as the newest row of its key.",
    })
  return marks
}
