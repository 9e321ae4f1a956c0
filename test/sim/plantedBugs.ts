// Bugs to plant into the product while it is loaded, to see that the simulator finds each. The sources on the disk stay as they are: a loader
// hook changes the text of one module. `seed` found it last time; when the product changes, others may (see plantedBugs.test.ts).
import assert from 'node:assert/strict'
import { registerHooks } from 'node:module'

export interface PlantedBug {
  what: string
  /** Below `src`. */
  file: string
  find: string
  replace: string
  seed: number
}

export const plantedBugs: Record<string, PlantedBug> = {
  'skip-fsync': {
    what: 'appends are acknowledged without a sync',
    file: 'log/partition.ts',
    find: '        this.syncFile(segment)\n      } catch (error) {',
    replace: '      } catch (error) {',
    seed: 3,
  },
  'acknowledge-early': {
    what: 'every second group of appends is acknowledged before it is synced: with the next one',
    file: 'log/partition.ts',
    find: "    if (how !== 'journaled' && (this.synced || how === 'always')) {\n",
    replace: "    if (how === 'always' || (how !== 'journaled' && this.synced && (this['isOdd'] = !this['isOdd']))) {\n",
    seed: 2,
  },
  'retry-fsync': {
    what: 'a sync that failed is tried again, and what it should have written is acknowledged',
    file: 'log/partition.ts',
    find: '        this.syncFile(segment)\n      } catch (error) {',
    replace: '        try { this.syncFile(segment) } catch { this.syncFile(segment) }\n      } catch (error) {',
    seed: 15,
  },
  'publish-before-sync': {
    what: 'readers are shown bytes that are not durable yet',
    file: 'log/partition.ts',
    find: '      this.unsynced.push(...group)\n',
    replace:
      '      this.unsynced.push(...group)\n      this.durableOffset = segment.nextOffset\n      this.durablePosition = segment.sizeBytes\n      this.publish(PARTITION_OPEN)\n',
    seed: 11,
  },
  'skip-redo': {
    what: 'a start does not write to the files what is in the journal alone',
    file: 'log/journalRedo.ts',
    find: 'ignoreMissing(() => redoFile(disk, dataFolder, file, needed))',
    replace: 'ignoreMissing(() => file)',
    seed: 4,
  },
  'reuse-blocks-early': {
    what: 'blocks of the journal are written over before the files of which they have bytes are synced',
    file: 'log/journal.ts',
    find: 'needed = Math.min(needed, firstSequence)',
    replace: 'needed = Math.max(needed, firstSequence)',
    seed: 1,
  },
  'forget-lost-pages': {
    what: 'a file whose sync has failed in the background counts as synced with the next one',
    file: 'log/journal.ts',
    find: 'else if (error !== undefined) file.isLost = true',
    replace: 'else if (error !== undefined) return',
    seed: 11,
  },
  'drop-epoch-check': {
    what: 'a producer that was replaced may still write',
    file: 'log/producers.ts',
    find: '    if (epoch < known.epoch) throw',
    replace: '    if (false) throw',
    seed: 1,
  },
  'drop-transaction-epoch': {
    what: 'a transactional producer that was replaced may end the transaction of its successor',
    file: 'log/transactions/coordinator.ts',
    find: 'if (slot.record.producerEpoch !== ref.producerEpoch) throw fenced',
    replace: 'if (slot.record.producerEpoch < ref.producerEpoch) throw fenced',
    seed: 2,
  },
  'no-dedup': {
    what: 'a batch that is sent again is stored again',
    file: 'log/producers.ts',
    find: '    if (same) return same',
    replace: '    if (same) return undefined',
    seed: 1,
  },
  'forget-undo': {
    what: 'a batch that could not be written counts as sent',
    file: 'log/partition.ts',
    find: '      undo(group)\n',
    replace: '',
    seed: 7,
  },
  'first-may-be-late': {
    what: 'behind a first batch that was refused the next one is taken',
    file: 'log/producers.ts',
    find: '    if (producerId < 0 || this.byId.has(producerId)',
    replace: '    if (producerId < 2 ** 60 || this.byId.has(producerId)',
    seed: 7,
  },
  'keep-failed-bytes': {
    what: 'what a failed sync did not confirm is refused, and stays in the log',
    file: 'log/partition.ts',
    find: '    const { active, durablePosition } = this\n',
    replace: '    const { active } = this\n    const durablePosition = active.sizeBytes\n',
    seed: 27,
  },
  'wrong-truncation': {
    what: 'a torn tail is not cut off on start',
    file: 'log/segment.ts',
    find: '      if (index.sizeBytes < fileBytes) disk.truncate(file, index.sizeBytes)\n',
    replace: '      if (index.sizeBytes < fileBytes) disk.truncate(file, Math.max(0, index.sizeBytes - 1))\n',
    seed: 3,
  },
  'lose-folder-sync': {
    what: 'a file that replaces another is renamed without a sync of its folder',
    file: 'log/checkedFile.ts',
    find: '  disk.syncFolder(folder)\n',
    replace: '',
    seed: 3,
  },
  'half-removed-topic': {
    what: 'a topic that is removed keeps what says that it is one',
    file: 'log/store.ts',
    find: '    for (const name of names) if (!isPartition(name)) this.disk.unlink(',
    replace: '    for (const name of names) if (name === undefined) this.disk.unlink(',
    seed: 1,
  },
  'leak-handle': {
    what: 'a log file stays open when its index cannot be opened',
    file: 'log/segment.ts',
    find: '      ignoreFailure(() => disk.close(file))\n      throw error',
    replace: '      throw error',
    seed: 10,
  },
  'commit-early': {
    what: 'a committed offset is shown and answered before it is durable',
    file: 'kafka/groups/offsets.ts',
    find: '      const { first } = await this.log.appendRecords(OFFSETS_TOPIC, 0, records)',
    replace: '      const first = 0\n      this.log.appendRecords(OFFSETS_TOPIC, 0, records).catch(() => {})',
    seed: 65,
  },
  'forget-key': {
    what: 'after a restart the keys of requests are not known',
    file: 'ingest/idempotency.ts',
    find: '  private recall(note: Begin | End): void {\n',
    replace: '  private recall(note: Begin | End): void {\n    return\n',
    seed: 234,
  },
  'forget-column': {
    what: 'the checkpoint of a session does not have where it began',
    file: 'engine/operators/sessionWindows.ts',
    find: '.map(({ slot, owner, start, end }) => ({ slot, owner, start, end }))',
    replace: '.map(({ slot, owner, end }) => ({ slot, owner, start: end, end }))',
    seed: 31,
  },
  'older-offset': {
    what: 'after a restore a source goes on one record too early',
    file: 'engine/source.ts',
    find: 'positions: [...this.positions], turn }',
    replace: 'positions: this.positions.map((offset) => Math.max(0, offset - 1)), turn }',
    seed: 6,
  },
  'forget-watermarks': {
    what: 'the checkpoint of a source does not have the watermarks of its partitions',
    file: 'engine/watermark.ts',
    find: 'return { currentMs: this.currentMs, partitions: this.partitions }',
    replace: 'return { currentMs: this.currentMs, partitions: new Map() }',
    seed: 31,
  },
  'skip-segment-checksum': {
    what: 'a sealed segment is read without its checksums',
    file: 'log/reader.ts',
    find: 'crc32c(bytes.subarray(start, end)) !== chunks[i].crc',
    replace: 'false',
    seed: 44,
  },
  'skip-checkpoint-checksum': {
    what: 'state is read without its checksums',
    file: 'engine/checkpoints/store.ts',
    find: 'if (a !== chunks[i * CHUNK_FIELDS + 2] || b !== chunks[i * CHUNK_FIELDS + 3])',
    replace: 'if (false)',
    seed: 11,
  },
  'read-beyond-end': {
    what: 'queries read what is written and not durable yet',
    file: 'log/reader.ts',
    find: 'this.limitOffset = Math.min(endOffset, this.endOf(state))\n',
    replace: `this.limitOffset = Math.min(endOffset, this.endOf(state))
      const written = this.segment && !this.segment.sealed ? this.disk.size(this.segment.file) : 0
      if (this.segment && written > this.segment.position) {
        this.limitOffset = Number.POSITIVE_INFINITY
        state.durablePosition = written
        state.endOffset = Math.max(state.endOffset, this.wanted)
      }
`,
    seed: 2,
  },
  'forget-sequences': {
    what: 'after a restart the sequences of producers are not known',
    file: 'log/producers.ts',
    find: '(header) => this.note(header, nowMs))',
    replace: '() => {})',
    seed: 2,
  },
  'forget-view-delta': {
    what: 'of a live table the changes that a failed checkpoint took are in no other',
    file: 'jobs/sinkCommitters.ts',
    find: 'if (isDurable && this.next) Object',
    replace: 'if (this.next) Object',
    seed: 10,
  },
  'unsynced-checkpoint': {
    what: 'the data of a checkpoint is not synced before its manifest is named',
    file: 'engine/checkpoints/store.ts',
    find: 'if (this.file !== undefined) this.disk.sync(this.file)',
    replace: '',
    seed: 3,
  },
  'commit-at-cut': {
    what: 'a transaction of a sink is committed before its checkpoint is durable',
    file: 'jobs/transactionCommitter.ts',
    find: '      return { state: { kind:',
    replace: '      for (const { ref } of this.cutRefs) this.transactions.commit(ref).catch(() => {})\n      return { state: { kind:',
    seed: 5,
  },
  'forget-decided': {
    what: 'a start does not commit what a checkpoint has decided',
    file: 'jobs/transactionCommitter.ts',
    find: 'for (const ref of refs) {',
    replace: 'for (const ref of refs.slice(0, 0)) {',
    seed: 56,
  },
  'keep-open-transactions': {
    what: 'a start does not abort what a query has left open',
    file: 'jobs/transactionCommitter.ts',
    find: "if (info.state === 'Ongoing' &&",
    replace: "if (info.state === 'Empty' &&",
    seed: 7,
  },
  'leave-orphans': {
    what: 'a transaction whose end marker was cut off with the tail of the log stays open',
    file: 'log/transactions/coordinator.ts',
    find: 'if (targets.length === 0) this.finishPrepared()',
    replace: 'if (targets.length >= 0) this.finishPrepared()',
    seed: 158,
  },
  'show-open': {
    what: 'readers of committed records are shown records of open transactions',
    file: 'kafka/handlers/fetch.ts',
    find: 'isolationLevel === READ_COMMITTED ? info.lastStableOffset : undefined',
    replace: 'undefined',
    seed: 1,
  },
  'hide-aborts': {
    what: 'readers of committed records are not told what was aborted',
    file: 'kafka/handlers/fetch.ts',
    find: 'one.aborted = aborted',
    replace: 'one.aborted = []',
    seed: 1,
  },
  'name-files-early': {
    what: 'files get their names before their checkpoint is durable',
    file: 'engine/fileSink.ts',
    find: '    this.cutCount = this.pending.length\n',
    replace: '    this.cutCount = this.pending.length\n    finishFiles(this.disk, { folder: this.spec.folder, pending: this.pending })\n',
    seed: 34,
  },
  'unsynced-files': {
    what: 'files are named without a sync of their bytes',
    file: 'engine/fileSink.ts',
    find: '      this.disk.sync(file)\n    } finally',
    replace: '    } finally',
    seed: 51,
  },
  'leak-output-file': {
    what: 'the file that is being written stays open when its query ends',
    file: 'engine/fileSink.ts',
    find: '    if (this.current) this.disk.close(this.current.file)\n',
    replace: '',
    seed: 33,
  },
  'compact-sequences': {
    what: 'compaction takes batches that their producer may send again',
    file: 'log/producers.ts',
    find: 'batches.map(({ lastOffset }) => lastOffset)]',
    replace: 'batches.slice(-1).map(({ lastOffset }) => lastOffset)]',
    seed: 59,
  },
  'older-at-first-refusal': {
    what: 'what the disk refuses once to read, of a checkpoint or of producers, counts as damaged',
    file: 'log/checkedFile.ts',
    find: 'const READ_ATTEMPTS = 3',
    replace: 'const READ_ATTEMPTS = 1',
    seed: 379,
  },
  'lose-checkpoint-folder': {
    what: 'the name of a folder of checkpoints is not made durable where it is there already',
    file: 'engine/checkpoints/store.ts',
    find: '    if (!this.exists(parent, folder)) this.disk.makeFolder(folder)\n',
    replace: '    if (this.exists(parent, folder)) return\n    this.disk.makeFolder(folder)\n',
    seed: 92,
  },
  'forget-retained': {
    what: 'with the segments that retention takes goes what their producers may send again',
    file: 'log/partition.ts',
    find: 'this.saveProducers(true)',
    replace: 'true',
    seed: 62,
  },
  'lose-versions': {
    what: 'of the versions of a key that come in one batch a temporal join sees the last',
    file: 'engine/operators/keepLast.ts',
    find: 'if (everyVersion && !isNew)',
    replace: 'if (false)',
    seed: 19,
  },
  'cut-before-aligned': {
    what: 'a subtask makes its cut before the rounds that belong to it have come through',
    file: 'engine/exchange/rounds.ts',
    find: 'if (barrier === undefined || this.completed <= barrier.round) return undefined',
    replace: 'if (barrier === undefined) return undefined',
    seed: 13,
  },
  'output-passes-cut': {
    what: 'what a subtask puts out behind its cut comes before the cut of the job',
    file: 'jobs/alignedOutput.ts',
    find: 'if (this.cuts.has(subtask)) this.held.push(handle)',
    replace: 'if (false) this.held.push(handle)',
    seed: 59,
  },
  'first-subtask-only': {
    what: 'a checkpoint has the positions of the partitions that the first subtask reads',
    file: 'engine/checkpoints/merge.ts',
    find: 'Math.max(...inputs.map((input) => input.positions[partition]))',
    replace: 'inputs[0].positions[partition]',
    seed: 27,
  },
  'one-watermark': {
    what: 'behind an exchange event time is that of one subtask alone',
    file: 'engine/exchange/exchange.ts',
    find: 'if (from !== except && this.idle[from] === 0',
    replace: 'if (from !== except && from === this.rounds.subtask && this.idle[from] === 0',
    seed: 8,
  },
  'wrong-subtask': {
    what: 'with another number of subtasks the state of a key comes into one that does not get its rows',
    file: 'engine/spill/share.ts',
    find: '    part: subtask,\n',
    replace: '    part: (subtask + 1) % parallelism,\n',
    seed: 41,
  },
  'forget-waiting': {
    what: 'a checkpoint does not have the rows that wait for state on the disk',
    file: 'engine/spill/spillingOperator.ts',
    find: 'waiting: this.waiting.snapshot()',
    replace: 'waiting: []',
    seed: 84,
  },
  'forget-spilled': {
    what: 'a checkpoint has of the state on the disk only what is in memory, too',
    file: 'engine/spill/spillingOperator.ts',
    find: '      stored ? [{ id, state: stored, watermarkMs, dueMs, status }] : [],',
    replace: '      stored && this.groups[id].operator ? [{ id, state: stored, watermarkMs, dueMs, status }] : [],',
    seed: 1,
  },
  'stale-spill': {
    what: 'state that has changed since it came back from the disk is not written again',
    file: 'engine/spill/spillingOperator.ts',
    find: '    group.isDirty = true\n',
    replace: '    group.isDirty = group.stored === undefined\n',
    seed: 1,
  },
  'release-held': {
    what: 'files of state are removed while a checkpoint takes their bytes',
    file: 'engine/spill/spillFiles.ts',
    find: 'if (this.released) this.released.push(path)\n    else this.remove(path)',
    replace: 'this.remove(path)',
    seed: 378,
  },
  'skip-spill-checksum': {
    what: 'state comes back from the disk without its checksums',
    file: 'engine/spill/spillFiles.ts',
    find: 'if (a !== checksums[2 * i] || b !== checksums[2 * i + 1])',
    replace: 'if (false)',
    seed: 9,
  },
  'keep-damaged-spill': {
    what: 'a query goes on with state on the disk of which a checkpoint has found that it is damaged',
    file: 'engine/checkpoints/store.ts',
    find: "if (errorCodeOf(error) === 'SPILL_DAMAGED') throw error",
    replace: '',
    seed: 89,
  },
}

/** From now on the module is loaded with the bug. Once in a thread, before the product is loaded. */
export function plant(name: string): void {
  const { file, find, replace } = plantedBugs[name]
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      if (!url.endsWith(`/src/${file}`)) return loaded
      const source = String(loaded.source)
      assert.ok(source.includes(find), `the bug "${name}" has no place in ${file} any more`)
      return { ...loaded, source: source.replace(find, () => replace) }
    },
  })
}
