// The process's memory budget in its metrics.
import { Gauge } from 'prom-client'
import { metrics } from '../base/index.ts'
import type { Memory, MemoryUse } from '../engine/index.ts'

let shown: Memory | undefined
const gauges: [keyof MemoryUse, string, string][] = [
  ['limitBytes', 'millrace_memory_limit_bytes', 'The budget for state, live tables and buffers together (--memory).'],
  ['stateBytes', 'millrace_memory_state_bytes', 'State of queries in memory.'],
  ['spilledBytes', 'millrace_memory_spilled_bytes', 'State of queries that is on the disk, as it did not fit.'],
  ['otherBytes', 'millrace_memory_other_bytes', 'Live tables and what waits to be written.'],
]
for (const [key, name, help] of gauges) {
  new Gauge({
    name,
    help,
    registers: [metrics],
    collect() {
      this.set(shown?.use[key] ?? 0)
    },
  })
}

/** The budget that the metrics show from now on. */
export function showMemory(memory: Memory): void {
  shown = memory
}
