// What crosses the port between the main side and the Kafka port in the thread of the log's writer.
import type { ErrorBody, MetricChanges } from '../base/index.ts'
import type { AppendResult, TransactionInfo, TransactionRef } from '../log/index.ts'
import type { GroupAdmin } from './groups/admin.ts'
import type { UserAdmin } from './security/userAdmin.ts'
import type { HostedOptions } from './server.ts'

export interface HostCalls {
  /** Opens the port. */
  open: { args: [options: HostedOptions, tokenFile: string | undefined]; result: { host: string; port: number } }
  close: { args: []; result: undefined }
  groups: { args: Parameters<GroupAdmin['page']>; result: ReturnType<GroupAdmin['page']> }
  commitGroup: { args: Parameters<GroupAdmin['commit']>; result: undefined }
  deleteGroup: { args: Parameters<GroupAdmin['delete']>; result: undefined }
  forgetTopic: { args: Parameters<GroupAdmin['forgetTopic']>; result: undefined }
  users: { args: []; result: ReturnType<UserAdmin['list']> }
  createUser: { args: Parameters<UserAdmin['create']>; result: { password: string } }
  deleteUser: { args: Parameters<UserAdmin['delete']>; result: undefined }
  begin: { args: [transactionalId: string, options?: { timeoutMs?: number }]; result: TransactionRef }
  append: {
    args: [ref: TransactionRef, topic: string, partition: number, batch: Uint8Array, recordCount: number]
    result: AppendResult
  }
  commit: { args: [ref: TransactionRef]; result: boolean }
  abort: { args: [ref: TransactionRef]; result: undefined }
  transactions: { args: [prefix?: string]; result: TransactionInfo[] }
  closeTransactions: { args: []; result: undefined }
}
export type HostCallName = keyof HostCalls

export interface ToHost {
  id: number
  name: HostCallName
  args: unknown[]
}
export type FromHost =
  | { kind: 'reply'; id: number; result?: unknown; error?: ErrorBody }
  | { kind: 'line'; level: 'warn' | 'error'; fields: object; message: string }
  | { kind: 'trouble'; error?: ErrorBody }
  | { kind: 'metrics'; changes: MetricChanges }
