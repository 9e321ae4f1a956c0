// millrace topics: what there is, its settings and statistics.
import { createInterface } from 'node:readline/promises'
import type {
  NewTopic,
  TopicChange,
  TopicConsumers,
  TopicPartition,
  TopicSetting,
  TopicStatistics,
  TopicSummary,
} from '../../serve/contract.ts'
import { call, getJson, sendJson, type Target, topicPath } from '../client.ts'
import { appErrors } from '../errors.ts'
import { byteText, countText, durationText, shareText, tableText, timeText } from '../output.ts'

const retentionText = (value: string | number | undefined): string =>
  value === undefined ? '' : Number(value) < 0 ? 'for ever' : durationText(Number(value))

export async function listTopics(target: Target, json: boolean): Promise<void> {
  const topics = await getJson<TopicSummary[]>(target, '/v1/topics')
  if (json) for (const topic of topics) console.log(JSON.stringify(topic))
  else
    console.log(
      tableText(
        ['topic', 'partitions', 'records', 'size', 'retention'],
        topics.map(({ name, partitionCount, recordCount, sizeBytes, config }) => [
          name,
          partitionCount,
          recordCount,
          byteText(sizeBytes),
          config['cleanup.policy'] === 'compact' ? 'compact' : retentionText(config['retention.ms']),
        ]),
      ),
    )
}

export async function describeTopic(target: Target, name: string, json: boolean): Promise<void> {
  const path = topicPath(name)
  const topic = await getJson<TopicSummary>(target, path)
  const [settings, partitions, consumers] = await Promise.all([
    getJson<TopicSetting[]>(target, `${path}/settings`),
    getJson<TopicPartition[]>(target, `${path}/partitions`),
    getJson<TopicConsumers>(target, `${path}/consumers`),
  ])
  if (json) {
    console.log(JSON.stringify({ ...topic, settings, partitions, consumers }))
    return
  }
  const { tables, writers, queries, groups } = consumers
  const readers = [
    ...queries.map(({ id, state, lag, lagMs }) => [`query ${id}`, state, lag, lagMs === undefined ? '' : durationText(lagMs)]),
    ...groups.map(({ id, state, lag, lagMs }) => [`group ${id}`, state, lag, lagMs === undefined ? '' : durationText(lagMs)]),
  ]
  const parts = [
    `${topic.name}: ${countText(topic.recordCount, 'record')}, ${byteText(topic.sizeBytes)}, ${countText(topic.partitionCount, 'partition')}`,
    tables.length > 0 ? `declared by ${tables.join(', ')}` : 'declared by no table: its records are not checked',
    writers.length > 0 ? `written by ${writers.join(', ')}` : '',
    topic.columns.length > 0
      ? tableText(
          ['column', 'type'],
          topic.columns.map((column) => [column.name, column.type]),
        )
      : '',
    tableText(
      ['partition', 'first offset', 'next offset', 'size', 'files', 'oldest record', 'newest record'],
      partitions.map(({ partition, startOffset, endOffset, sizeBytes, segmentCount, oldestMs, newestMs }) => [
        partition,
        startOffset,
        endOffset,
        byteText(sizeBytes),
        segmentCount,
        timeText(oldestMs),
        timeText(newestMs),
      ]),
    ),
    readers.length > 0 ? tableText(['read by', 'state', 'lag', 'for'], readers) : '',
    settingsText(settings),
  ]
  console.log(parts.filter(Boolean).join('\n\n'))
}

const settingsText = (settings: readonly TopicSetting[]): string =>
  tableText(
    ['setting', 'value', '', ''],
    settings.map(({ name, value, isDefault }) => [
      name,
      String(value),
      name === 'retention.ms' ? retentionText(value) : '',
      isDefault ? '' : 'changed',
    ]),
  )

export async function createTopic(target: Target, name: string, change: Omit<NewTopic, 'name'>, json: boolean): Promise<void> {
  const topic = await sendJson<TopicSummary>(target, 'POST', '/v1/topics', { name, ...change })
  console.log(json ? JSON.stringify(topic) : `${name} is there, with ${countText(topic.partitionCount, 'partition')}`)
}

export async function alterTopic(target: Target, name: string, change: TopicChange, json: boolean): Promise<void> {
  if (change.partitionCount === undefined && Object.keys(change.config ?? {}).length === 0)
    throw appErrors('OPTION_INVALID', { option: 'what to change', value: 'nothing', expected: '--config, --reset or --partitions' })
  const topic = await sendJson<TopicSummary>(target, 'PATCH', topicPath(name), change)
  if (json) console.log(JSON.stringify(topic))
  else
    console.log(
      `${name}: ${countText(topic.partitionCount, 'partition')}\n\n${settingsText(await getJson(target, `${topicPath(name)}/settings`))}`,
    )
}

export async function deleteTopic(
  target: Target,
  name: string,
  { confirm, force }: { confirm?: string; force?: boolean },
  json: boolean,
): Promise<void> {
  const topic = await getJson<TopicSummary>(target, topicPath(name))
  const said = confirm ?? (process.stdin.isTTY && !json ? await askName(topic) : undefined)
  const query = new URLSearchParams({ ...(said !== undefined && { confirm: said }), ...(force && { force: 'true' }) })
  await call(target, `${topicPath(name)}?${query}`, { method: 'DELETE' })
  console.log(json ? JSON.stringify({ deleted: name }) : `${name} is deleted, with its ${countText(topic.recordCount, 'record')}`)
}

async function askName({ name, recordCount, sizeBytes }: TopicSummary): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const question = `This deletes ${name} with ${countText(recordCount, 'record')} (${byteText(sizeBytes)}), for good. Its name, to go on: `
    return (await lines.question(question)).trim()
  } finally {
    lines.close()
  }
}

export async function printStatistics(target: Target, name: string, sample: number, json: boolean): Promise<void> {
  if (process.stderr.isTTY && !json) process.stderr.write('looking at records …\r')
  const statistics = await getJson<TopicStatistics>(target, `${topicPath(name)}/statistics?sample=${sample}`)
  console.log(json ? JSON.stringify(statistics) : statisticsText(name, statistics))
}

function statisticsText(name: string, statistics: TopicStatistics): string {
  const { sampled, total, tombstones, undecoded, firstMs, lastMs, keys, sizeBytes, columns, columnsFrom, lateness } = statistics
  const decoded = sampled - tombstones - undecoded
  const timed = lateness?.buckets.reduce((sum, { count }) => sum + count, 0) ?? 0
  let lower = 0
  const parts = [
    `${name}: exact over ${sampled === total ? `all ${total}` : `the newest ${sampled} of ${total}`} records`,
    `from ${timeText(firstMs)} to ${timeText(lastMs)}`,
    `keys: ${keys.unique} different ones in ${keys.withKey} records; ${sampled - keys.withKey} without key; ${tombstones} tombstones`,
    tableText(
      ['bytes', 'least', 'median', '90 %', '99 %', 'most', 'mean', 'sum'],
      [
        [
          'key and value',
          ...[sizeBytes.min, sizeBytes.p50, sizeBytes.p90, sizeBytes.p99, sizeBytes.max, Math.round(sizeBytes.mean), sizeBytes.total],
        ],
      ],
    ),
    columns.length > 0
      ? tableText(
          [columnsFrom === 'declared' ? 'column' : 'member found', 'type', 'null', 'share'],
          columns.map(({ name: column, type, nulls }) => [column, type, nulls, shareText(nulls, decoded)]),
        )
      : '',
    undecoded > 0 ? `${undecoded} records do not fit these columns` : '',
    lateness
      ? tableText(
          [`late in ${lateness.column}`, 'records', 'share'],
          lateness.buckets.map(({ upToMs, count }) => {
            const from = lower
            lower = upToMs ?? lower
            const label = upToMs === 0 ? 'in order' : upToMs === null ? `more than ${durationText(from)}` : `up to ${durationText(upToMs)}`
            return [label, count, shareText(count, timed)]
          }),
        )
      : '',
    lateness?.behindWatermark === undefined ? '' : `${lateness.behindWatermark} came behind the declared watermark`,
  ]
  return parts.filter(Boolean).join('\n\n')
}
