// What the journal's thread does, in this thread and when a test or a simulator lets it.
import type { Disk } from './disk.ts'
import { doTask, type JournalBackground, type JournalDone, type JournalTask } from './journalTask.ts'

export class TestBackground implements JournalBackground {
  private readonly disk: Disk
  private readonly plan: (act: () => void) => void
  private all: JournalDone[] = []
  private isClosed = false

  /** @param plan  lets `act` happen, some time, in the order of the calls */
  constructor(disk: Disk, plan: (act: () => void) => void) {
    this.disk = disk
    this.plan = plan
  }

  start(task: JournalTask): void {
    this.plan(() => {
      if (!this.isClosed) doTask(this.disk, task, (done) => this.all.push(done))
    })
  }

  done(): JournalDone[] {
    const all = this.all
    this.all = []
    return all
  }

  close(): void {
    this.isClosed = true
  }
}
