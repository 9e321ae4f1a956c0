// What the API needs of the rest: wired by the application, so that this folder knows no engine and no files.
import type { QueryInsight } from '../jobs/index.ts'
import type { Log } from '../log/index.ts'
import type { ViewStore } from '../views/index.ts'
import type { ColumnInfo, Health, QuerySummary } from './contract.ts'
import type { RunSql } from './sql.ts'
import type { StatsCollector } from './stats.ts'
import type { Workspace } from './workspace.ts'

export interface ServeDeps {
  views: ViewStore
  log: Pick<Log, 'topics' | 'topic' | 'readMessages'>
  /** Columns of the table that declares the topic; empty if none does. */
  topicColumns(topic: string): ColumnInfo[]
  queries(): QuerySummary[]
  /** A query looked at closely, by its id or the table that it writes to. */
  inspectQuery(name: string): Promise<QueryInsight | undefined>
  health(): Health
  stats: StatsCollector
  runSql: RunSql
  workspace: Workspace
  /** For openapi.json. */
  version: string
}
