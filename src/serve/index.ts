// REST and WebSocket queries: tables, topics, figures, and the description of the API itself. `contract.ts` has the types.
import type { FastifyInstance } from 'fastify'
import { registerAttention } from './attention.ts'
import { registerBackups } from './backups.ts'
import { registerCheckpoints } from './checkpoints.ts'
import { registerConfig } from './config.ts'
import type { ServeDeps } from './deps.ts'
import { registerDiff } from './diff.ts'
import { registerFigures } from './figures.ts'
import { registerFilters } from './filters.ts'
import { registerGroups } from './groups.ts'
import { registerHistory } from './history.ts'
import { registerKafkaUsers } from './kafkaUsers.ts'
import { registerLetters } from './letters.ts'
import { registerLineage } from './lineage.ts'
import { registerMessages } from './messages.ts'
import { registerOpenApi } from './openapi.ts'
import { registerProjectTests } from './projectTests.ts'
import { LiveSockets } from './sockets.ts'
import { registerSql } from './sql.ts'
import { registerState } from './state.ts'
import { registerStatus } from './status.ts'
import { registerTables } from './tables.ts'
import { registerStatistics } from './topicStatistics.ts'
import { registerTopics } from './topics.ts'
import { registerVerify } from './verify.ts'
import { registerWorkspace } from './workspace.ts'

export { noCheckpoints } from './checkpoints.ts'
export type * from './contract.ts'
export type { ServeDeps } from './deps.ts'
export { serveErrors } from './errors.ts'
export { SavedFilters } from './filters.ts'
export type { ConsumerGroups } from './groupsContract.ts'
export { lagsOfGroups } from './lag.ts'
export type { ProjectTests } from './projectTests.ts'
export { RollingHistogram, StatsCollector, type StatsSources } from './stats.ts'
export type { Workspace } from './workspace.ts'

/** Adds the routes under /v1 to a server made by `makeHttpServer`. */
export function registerServe(app: FastifyInstance, deps: ServeDeps, { beatMs }: { beatMs?: number } = {}): void {
  const sockets = new LiveSockets(beatMs)
  app.addHook('onClose', async () => sockets.close())
  registerTables(app, deps, sockets)
  registerTopics(app, deps)
  registerMessages(app, deps, sockets)
  registerStatistics(app, deps)
  registerLetters(app, deps)
  registerHistory(app, deps)
  registerGroups(app, deps)
  registerKafkaUsers(app, deps)
  registerStatus(app, deps, sockets)
  registerState(app, deps)
  registerFigures(app, deps)
  registerAttention(app, deps)
  registerFilters(app, deps)
  registerLineage(app, deps)
  registerConfig(app, deps)
  registerCheckpoints(app, deps)
  registerBackups(app, deps)
  registerSql(app, deps.runSql)
  registerWorkspace(app, deps, sockets)
  registerDiff(app, deps)
  registerVerify(app, deps)
  registerProjectTests(app, deps.projectTests)
  registerOpenApi(app, deps.version)
}
