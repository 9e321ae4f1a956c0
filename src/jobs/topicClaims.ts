// Whose a topic is: no table may take the one in which the server keeps something for another.
//
//   topic                          whose
//   ----------------------------   ------------------------------------------------------------------------------
//   __…                            the server's own
//   <topic>.invalid                dead letters of <topic>: a table may read them if its WITH names the topic; nothing else is written there
//   'millrace.late-rows.topic'     late rows of the queries that name it: a table may read them, no query writes there
//
// The project is checked as it is after each statement, so that the order of the two that clash does not matter: the later one is refused.
import type { TextPosition } from '../base/index.ts'
import { lettersTopicOf } from '../log/index.ts'
import type { TableDef } from '../sql/index.ts'
import { jobErrors } from './errors.ts'
import type { Project } from './project.ts'
import { isTopicTable, LATE_TOPIC, topicOf } from './tables.ts'

/** The parts of a project that statements change. */
export type Declared = Pick<Project, 'tables' | 'queries' | 'dropped'>

/** Dead letters of a table: the topic that they are for. */
export function lettersOwnerOf(topic: string, tables: readonly TableDef[]): string | undefined {
  return tables
    .filter(isTopicTable)
    .map(topicOf)
    .find((owner) => lettersTopicOf(owner) === topic)
}

/** @throws StreamError  TOPIC_TAKEN */
export function requireOwnTopics({ tables, queries }: Pick<Declared, 'tables' | 'queries'>, position: TextPosition): void {
  const late = new Map<string, string>()
  for (const table of [...tables, ...queries.map(({ target }) => target.table)]) {
    const topic = table.options[LATE_TOPIC]
    if (topic) late.set(topic, table.name)
  }
  const refuse = (table: string, topic: string, use: string, next: string) =>
    jobErrors('TOPIC_TAKEN', { table, topic, use, next, position })
  const lettersUse = (owner: string) => `where what is refused or cannot be read of topic "${owner}" is kept`
  for (const table of tables.filter(isTopicTable)) {
    const topic = topicOf(table)
    if (topic.startsWith('__')) throw refuse(table.name, topic, 'of a kind that the server keeps for itself', 'Name another topic.')
    const owner = lettersOwnerOf(topic, tables)
    if (owner !== undefined && table.options.topic === undefined)
      throw refuse(
        table.name,
        topic,
        lettersUse(owner),
        `Give the table another name, or its rows another topic: WITH ('topic' = '…'). To read those records, name it: WITH ('topic' = '${topic}', 'format' = 'raw').`,
      )
  }
  for (const { id, target } of queries) {
    if (target.kind === 'materializedTable' || !isTopicTable(target.table)) continue
    const topic = topicOf(target.table)
    const owner = lettersOwnerOf(topic, tables)
    const lateOf = late.get(topic)
    const use = owner !== undefined ? lettersUse(owner) : lateOf !== undefined ? `where late rows of "${lateOf}" are kept` : undefined
    if (use !== undefined) throw refuse(target.table.name, topic, use, `Have ${id} write to a table with another topic.`)
  }
  for (const [topic, table] of late) {
    const owner = lettersOwnerOf(topic, tables)
    const use = owner !== undefined ? lettersUse(owner) : topic.startsWith('__') ? 'of a kind that the server keeps for itself' : undefined
    if (use !== undefined) throw refuse(table, topic, use, `Name another one in '${LATE_TOPIC}'.`)
  }
}
