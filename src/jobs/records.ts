// SQL over the records of one topic, for people who browse it: a filter, a select list, over the columns of the table that declares the topic.
import { type Field, formatType } from '../data/index.ts'
import { type LensTable, lensFields, RecordLens } from '../engine/index.ts'
import { bindCondition, bindSelectList, type Expr, type TableDef } from '../sql/index.ts'
import { sourceParts } from './recordShape.ts'

export interface RecordQuery {
  /** A condition: records for which it is TRUE pass. */
  where?: string
  /** A select list; without it nothing is computed. */
  select?: string
}
export interface BoundRecordQuery {
  lens: RecordLens
  /** Of the select list. */
  fields: Field[]
}

/**
 * @param table  the one that declares the topic, if one does
 * @throws       StreamError of the SQL layer, with `position` in the text that is wrong
 */
export function bindRecordQuery(topic: string, table: TableDef | undefined, query: RecordQuery, timeZone: string): BoundRecordQuery {
  const fields = lensFields(table)
  const options = { timeZone, table: table?.name }
  const where = query.where === undefined ? undefined : bindCondition(query.where, fields, options)
  const select = query.select === undefined ? { fields: [], exprs: [] } : bindSelectList(query.select, fields, options)
  return { lens: new RecordLens(topic, sourceOf(table), { where, exprs: select.exprs, timeZone }), fields: select.fields }
}

const sourceOf = (table: TableDef | undefined): LensTable | undefined => table && { table, ...sourceParts(table) }

/** What statistics of a topic look at in each record: event time, watermark if one is declared, then the declared columns. */
export interface BoundStatistics {
  lens: RecordLens
  /** The event time column, `_timestamp` where no table says. */
  timeColumn: string
  hasWatermark: boolean
  /** Physical columns of the table, behind event time and watermark. */
  columns: { name: string; type: string }[]
}

export function bindStatistics(topic: string, table: TableDef | undefined, timeZone: string): BoundStatistics {
  const fields = lensFields(table)
  const columnAt = (index: number): Expr => ({ kind: 'column', index, type: fields[index].type })
  const declared = (table?.columns ?? []).flatMap((column, i) => (column.kind === 'physical' ? [i] : []))
  const watermark = table?.watermark
  const time = watermark ? watermark.column : fields.findIndex(({ name }) => name === '_timestamp')
  const exprs = [columnAt(time), ...(watermark ? [watermark.expression] : []), ...declared.map(columnAt)]
  return {
    lens: new RecordLens(topic, sourceOf(table), { exprs, timeZone }),
    timeColumn: fields[time].name,
    hasWatermark: watermark !== undefined,
    columns: declared.map((i) => ({ name: table!.columns[i].name, type: formatType(table!.columns[i].type) })),
  }
}
