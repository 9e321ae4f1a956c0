// What the log counts for GET /metrics.
import { Counter, Gauge, Histogram } from 'prom-client'
import { HotCounter, metrics } from '../base/index.ts'

const registers = [metrics]

export const logMetrics = {
  appendedRecords: new HotCounter({
    name: 'millrace_log_appended_records_total',
    help: 'Records acknowledged by the log.',
    label: 'topic',
  }),
  appendedBytes: new HotCounter({
    name: 'millrace_log_appended_bytes_total',
    help: 'Bytes of record batches acknowledged by the log.',
    label: 'topic',
  }),
  rejected: new Counter({
    name: 'millrace_log_rejected_batches_total',
    help: 'Batches that the log refused, by error code.',
    labelNames: ['code'],
    registers,
  }),
  pendingBytes: new Gauge({ name: 'millrace_log_pending_bytes', help: 'Bytes that wait to be written and synced.', registers }),
  syncSeconds: new Histogram({
    name: 'millrace_log_sync_seconds',
    help: "Time of the disk's own fdatasync.",
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    registers,
  }),
  cutBytes: new Counter({ name: 'millrace_log_cut_bytes_total', help: 'Torn bytes cut off when the log was opened.', registers }),
  transactions: new Counter({
    name: 'millrace_log_transactions_total',
    help: 'Transactions that were decided: committed or aborted. Those that timed out are counted as aborted too.',
    labelNames: ['result'],
    registers,
  }),
  markerRetries: new Counter({
    name: 'millrace_log_transaction_marker_retries_total',
    help: 'Attempts to write the markers of a transaction that failed and were made again.',
    registers,
  }),
  orphanedTransactions: new Counter({
    name: 'millrace_log_orphaned_transactions_total',
    help: 'Transactions that a torn or damaged file had left open in a partition without an end: committed or aborted again, or awaited.',
    labelNames: ['result'],
    registers,
  }),
  damages: new Counter({ name: 'millrace_log_damages_total', help: 'Damaged segments found when the log was opened.', registers }),
  compactions: new Counter({
    name: 'millrace_log_compactions_total',
    help: 'Compactions of partitions, by result: done, or an error code.',
    labelNames: ['result'],
    registers,
  }),
  compactedRecords: new Counter({ name: 'millrace_log_compacted_records_total', help: 'Records that compaction removed.', registers }),
}
