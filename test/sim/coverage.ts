// What a run of many seeds must have hit at least once: a fault that never happens proves nothing.
import { crashSites, failSites } from './faults.ts'
import { templates } from './pipelines.ts'
import { Random } from './random.ts'

const operators = Object.values(templates).map((template) => template(new Random(1)).operator)

const required = [
  ...crashSites.map((site) => `crash at ${site}`),
  ...failSites.map((site) => `EIO ${site}`),
  ...['log', 'topic.json', 'producers', 'checkpoint data'].map((kind) => `ENOSPC write ${kind}`),
  ...['open log', 'open index'].map((site) => `EMFILE ${site}`),
  ...operators.flatMap((operator) => [`start of ${operator}`, `crash of ${operator}`, `restore of ${operator}`, `rows of ${operator}`]),
  ...['kill', 'power cut, unsynced dropped', 'power cut, unsynced kept', 'power cut, unsynced torn and reordered'],
  ...['clock +hour', 'clock -hour', 'clock +day', 'clock -day'],
  ...['net delay', 'net drop', 'net half-open', 'net refused', 'net reset', 'net reset in mid-frame'],
  ...['short read', 'short write', 'torn tail cut', 'start failed'],
  ...['producer paused', 'producer fenced', 'producer told that it failed', 'producer left without an answer'],
  ...['request sent again with its key', 'committed offset read', 'query failed and began again'],
]

/** Calls that happen seldom: only many seeds must have hit them. */
const rare = ['truncate log', 'sync index', 'write index', 'unlink producers', 'write producers', 'rename topic folder']
const rareHits = new Set(rare.flatMap((site) => [`crash at ${site}`, `EIO ${site}`]))
const COVERED_FROM_SEEDS = 300
const RARE_COVERED_FROM_SEEDS = 3_000

/** What so many seeds should have hit and did not; fewer cannot reach everything. */
export const missingHits = (hits: ReadonlyMap<string, number>, seeds: number): string[] =>
  required.filter((what) => !hits.get(what) && seeds >= (rareHits.has(what) ? RARE_COVERED_FROM_SEEDS : COVERED_FROM_SEEDS))
