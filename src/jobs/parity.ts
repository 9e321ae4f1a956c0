// What of each query Flink would refuse or do otherwise, as far as the texts of the project show it: of its own statement, and of the tables that it reads.
import { type Catalog, type PortabilityMark, parseScriptTolerant, portabilityMarks, type Statement } from '../sql/index.ts'
import type { Project } from './project.ts'
import { scannedTables } from './tables.ts'

export interface ParityMark extends PortabilityMark {
  /** Of the project, with its folder. */
  file: string
  /** What the statement declares or writes to. */
  subject: string
}

const known = new WeakMap<Project, ReadonlyMap<string, ParityMark[]>>()

/** By the id of the query; looked up once for each project. */
export function parityOf(project: Project): ReadonlyMap<string, ParityMark[]> {
  let found = known.get(project)
  if (!found) known.set(project, (found = marksByQuery(project)))
  return found
}

function marksByQuery({ files, queries, catalog }: Project): Map<string, ParityMark[]> {
  const declared = new Map<string, ParityMark[]>()
  for (const { name: file, text } of files) {
    const { statements } = parseScriptTolerant(text)
    for (const statement of statements) {
      const subject = subjectOf(statement, catalog)
      if (subject === undefined) continue
      const marks = portabilityMarks([statement], text).map((mark) => ({ ...mark, file, subject }))
      if (marks.length > 0) declared.set(subject, [...(declared.get(subject) ?? []), ...marks])
    }
  }
  return new Map(
    queries.map(({ id, plan, target }) => {
      const names = new Set([target.table.name, ...scannedTables(plan).map(({ name }) => name)])
      return [id, [...names].flatMap((name) => declared.get(name) ?? [])]
    }),
  )
}

function subjectOf(statement: Statement, catalog: Catalog): string | undefined {
  switch (statement.type) {
    case 'createTable':
    case 'createMaterializedTable':
      return catalog.nameOf(statement.name)
    default:
      return undefined
  }
}
