// What a run of many seeds must have hit at least once: a fault that never happens proves nothing.
import { crashSites, failSites, faultKinds, faultOf, journalSites, spillSites } from './faults.ts'
import { filter, sinkKinds, templates } from './pipelines.ts'
import { Random } from './random.ts'

const operators = [...Object.values(templates), filter].map((template) => template(new Random(1)).operator)

const required = [
  ...crashSites.map((site) => `crash at ${site}`),
  ...failSites.map((site) => `EIO ${site}`),
  ...[
    'log',
    'index',
    'topic.json',
    'broker.json',
    'producers',
    'checkpoint',
    'checkpoint data',
    'output file',
    'compacted segment',
    'aborted index',
  ].map((kind) => `ENOSPC write ${kind}`),
  ...['open log', 'open index'].map((site) => `EMFILE ${site}`),
  ...operators.flatMap((operator) => [`start of ${operator}`, `crash of ${operator}`, `restore of ${operator}`, `rows of ${operator}`]),
  ...operators.flatMap((operator) => faultKinds.map((kind) => faultOf(kind, operator))),
  ...sinkKinds.flatMap((sink) => [`start of a query into ${sink}`, `restore into ${sink}`, `rows in ${sink}`]),
  ...['log', 'index', 'topic.json', 'producers', 'checkpoint', 'checkpoint data'].map((kind) => `bit flipped in ${kind}`),
  ...['log', 'checkpoint', 'checkpoint data'].map((kind) => `damage told of ${kind}`),
  ...['open transaction ended by the start', 'writes go on after a full disk, without a restart'],
  ...['transaction committed', 'transaction aborted', 'producer paused in its transaction', 'replaced transactional producer fenced'],
  ...['transactional producer began anew', 'committed record of a transaction read', 'aborted record left out'],
  ...['task paused and replaced', 'replaced task fenced', 'epoch of a topic spoilt', 'end of a checkpoint failed'],
  ...['compaction', 'compaction failed', 'retention took records', 'consumer behind retention'],
  ...['c', 'q', '__transaction_state'].map((topic) => `records compacted away of ${topic}`),
  ...[
    'kill',
    'power cut, of what several had left unsynced',
    'power cut, unsynced dropped',
    'power cut, unsynced kept',
    'power cut, unsynced torn and reordered',
  ],
  ...['clock +hour', 'clock -hour', 'clock +day', 'clock -day'],
  ...['net delay', 'net drop', 'net half-open', 'net refused', 'net reset', 'net reset in mid-frame'],
  ...['short read', 'short write', 'torn tail cut', 'start failed'],
  ...['producer paused', 'producer fenced', 'producer told that it failed', 'producer left without an answer'],
  ...[2, 3, 4].map((count) => `start in ${count} subtasks`),
  ...['restored in more subtasks', 'restored in fewer subtasks', 'rows exchanged', 'barrier aligned over subtasks'],
  ...['output behind a cut waited for other subtasks', 'call write spill file', 'call read spill file', 'restore of spilled state'],
  ...['group committed by the journal', 'lap of the journal', 'journal redone by the start', 'ENOSPC write journal'],
  ...[...spillSites, ...journalSites].flatMap((site) => [`crash at ${site}`, `EIO ${site}`]),
  ...['ENOSPC write spill file', 'EMFILE open spill file', 'bit of state on the disk flipped', 'damage told of state on the disk'],
  ...['request sent again with its key', 'committed offset read', 'query failed and began again'],
]

/** Calls that happen seldom: only many seeds must have hit them. */
const rare = [
  ...['truncate log', 'sync index', 'write index', 'unlink producers', 'write producers', 'truncate producers', 'rename topic folder'],
  ...['open', 'write', 'sync', 'rename', 'unlink'].flatMap((call) => [`${call} output file`, `${call} compacted segment`]),
  ...['open', 'write', 'read'].map((call) => `${call} aborted index`),
]
const rareHits = new Set([
  ...['ENOSPC write broker.json', 'crash at makeFolder output folder', 'EIO makeFolder output folder'],
  // Of 300 seeds, three flip a bit of a checkpoint; `--bit-flips` flips thousands.
  ...['damage told of checkpoint', 'damage told of checkpoint data', 'producer told that it failed'],
  'open transaction ended by the start',
  // In a quarter of the seeds or fewer.
  ...operators.flatMap((operator) => ['ENOSPC', 'EMFILE', 'clock', 'task paused'].map((kind) => faultOf(kind, operator))),
  ...rare.flatMap((site) => [`crash at ${site}`, `EIO ${site}`, `ENOSPC ${site}`]),
])
const COVERED_FROM_SEEDS = 600
const RARE_COVERED_FROM_SEEDS = 3_000

/** What so many seeds should have hit and did not; fewer cannot reach everything. */
export const missingHits = (hits: ReadonlyMap<string, number>, seeds: number): string[] =>
  required.filter((what) => !hits.get(what) && seeds >= (rareHits.has(what) ? RARE_COVERED_FROM_SEEDS : COVERED_FROM_SEEDS))
