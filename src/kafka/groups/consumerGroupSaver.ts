// Makes durable what changes in a group of KIP-848.
//
// Invariants
//   1. `settled` ends when all that the group was when it was called is durable. So no answer tells of what a restart would not know.
//   2. One write at a time: what changes meanwhile goes with the next one, as the group is by then.
//   3. What could not be written is tried again with the next change or heartbeat.
import type { ConsumerGroup } from './consumerGroup.ts'
import type { Unsaved } from './consumerGroupRecords.ts'

export class ConsumerGroupSaver {
  private readonly group: ConsumerGroup
  private readonly write: (unsaved: Unsaved) => Promise<void>
  private running: Promise<void> | undefined
  private next: Promise<void> | undefined

  /** @param write  makes durable these parts of the group as it is when it is called */
  constructor(group: ConsumerGroup, write: (unsaved: Unsaved) => Promise<void>) {
    this.group = group
    this.write = write
  }

  /** Undefined if there is nothing to wait for. @throws what writing throws */
  settled(): Promise<void> | undefined {
    if (this.group.isSaved) return this.running
    this.next ??= this.runAfter(this.running)
    return this.next
  }

  private async runAfter(before: Promise<void> | undefined): Promise<void> {
    // What it failed with is told to those who wait for it, and what it was to write comes with this one.
    await before?.catch(() => {})
    this.running = this.next
    this.next = undefined
    const unsaved = this.group.takeUnsaved()
    try {
      await this.write(unsaved)
    } catch (error) {
      this.group.putBack(unsaved)
      throw error
    } finally {
      if (!this.next) this.running = undefined
    }
  }
}
