// millrace topics read, produce, export: records of topics.
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ColumnInfo, MessagesPage, ProduceRequest, ProduceResponse, TopicFrame, TopicMessage } from '../../serve/contract.ts'
import { call, frames, getJson, sendJson, type Target, topicPath } from '../client.ts'
import { byteText, Progress, plainText } from '../output.ts'

const PAGE = 200
const PRODUCE_PAGE = 500

export interface ReadOptions {
  /** Parameters of the API. */
  seek: Record<string, string>
  limit: number
  follow: boolean
}

export async function readTopic(
  target: Target,
  name: string,
  { seek, limit, follow }: ReadOptions,
  json: boolean,
  signal: AbortSignal,
): Promise<void> {
  const print = printer(json)
  const path = topicPath(name)
  const isForward = seek.offset !== undefined || seek.time !== undefined || seek.from === 'oldest'
  const progress = new Progress(!json)
  const newest: [TopicMessage, ColumnInfo[] | undefined][] = []
  let cursor: string | null = ''
  let [shown, scanned, failed] = [0, 0, 0]
  while (cursor !== null && shown < limit && !signal.aborted) {
    const query = new URLSearchParams({ ...seek, limit: String(Math.min(PAGE, limit - shown)), ...(cursor && { cursor }) })
    const page: MessagesPage = await getJson<MessagesPage>(target, `${path}/messages?${query}`)
    scanned += page.scanned
    failed += page.failed
    shown += page.messages.length
    progress.show(`scanned ${scanned} of ${scanned + page.remaining}, ${shown} found`)
    for (const message of page.messages) {
      if (isForward) print(message, page.columns)
      else newest.push([message, page.columns])
    }
    cursor = page.next
  }
  progress.clear()
  // They came newest first; on a terminal the newest belongs at the bottom.
  for (const [message, columns] of newest.toReversed()) print(message, columns)
  if (!json && failed > 0) console.error(`${failed} records were left out: the expression failed for them`)
  if (!json && !follow && shown === 0) {
    if (seek.where !== undefined) console.error(`no record passes; looked at ${scanned}`)
    else console.error(isForward ? `no record from ${seek.offset === undefined ? 'there' : `offset ${seek.offset}`} on` : 'no record yet')
  }
  if (!follow || signal.aborted) return
  const { partition, where, select, decode } = seek
  const live = new URLSearchParams(
    Object.entries({ partition, where, select, decode }).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
  for await (const frame of frames<TopicFrame>(target, `${path}/live?${live}`, signal)) {
    if (frame.type !== 'messages') continue
    for (const message of frame.messages) print(message, undefined)
    if (frame.skipped > 0 && !json) console.log(`… ${frame.skipped} more in between`)
  }
}

/** One line for each record; with a select list its columns, else key and value. */
function printer(json: boolean): (record: TopicMessage, columns: ColumnInfo[] | undefined) => void {
  return (record, columns) => {
    if (json) {
      console.log(JSON.stringify(record))
      return
    }
    const { partition, offset, timestampMs, key, value, headers, row } = record
    const shown = row
      ? row.map((cell, i) => `${columns?.[i] ? `${columns[i].name}=` : ''}${JSON.stringify(cell)}`).join(' ')
      : `${key ?? '—'} ${typeof value === 'string' ? value : JSON.stringify(value)}`
    const { rule, path, message = '' } = headers
    // A query's reason begins with the column, too.
    const reason = path && message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message
    const refused = rule ? ` (${[rule, path].filter(Boolean).join(' ')}: ${reason})` : ''
    const time = Math.abs(timestampMs) <= 8.64e15 ? new Date(timestampMs).toISOString() : String(timestampMs)
    console.log(`${time} ${partition}/${offset} ${plainText(`${shown}${refused}`)}`)
  }
}

type NewMessage = ProduceRequest['messages'][number]
export interface ProduceOptions {
  value?: string
  key?: string
  keySeparator?: string
  common: Omit<NewMessage, 'key' | 'value'>
}

/** The value given, or a record for each line of standard input. */
export async function produce(
  target: Target,
  name: string,
  { value, key, keySeparator, common }: ProduceOptions,
  json: boolean,
): Promise<void> {
  const send = (messages: NewMessage[]) => sendJson<ProduceResponse>(target, 'POST', `${topicPath(name)}/messages`, { messages })
  if (value !== undefined) {
    const { offsets } = await send([{ ...common, key, value }])
    console.log(json ? JSON.stringify(offsets[0]) : `at ${offsets[0].partition}/${offsets[0].offset}`)
    return
  }
  const progress = new Progress(!json)
  let count = 0
  let waiting: NewMessage[] = []
  const flush = async () => {
    if (waiting.length > 0) await send(waiting)
    count += waiting.length
    waiting = []
    progress.show(`${count} records sent`)
  }
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    const at = keySeparator ? line.indexOf(keySeparator) : -1
    waiting.push(
      at >= 0 ? { ...common, key: line.slice(0, at), value: line.slice(at + keySeparator!.length) } : { ...common, key, value: line },
    )
    if (waiting.length === PRODUCE_PAGE) await flush()
  }
  await flush()
  progress.clear()
  console.log(json ? JSON.stringify({ sent: count }) : `${count} ${count === 1 ? 'record' : 'records'} sent to ${name}`)
}

export interface ExportOptions {
  query: Record<string, string>
  limit: number
  out?: string
}

/** The server's stream as it comes; figures go to standard error. */
export async function exportTopic(target: Target, name: string, { query, limit, out }: ExportOptions, json: boolean): Promise<void> {
  const response = await call(target, `${topicPath(name)}/export?${new URLSearchParams(query)}`)
  const available = Number(response.headers.get('millrace-records') ?? 0)
  const progress = new Progress(!json)
  let [lines, bytes] = [query.format === 'csv' ? -1 : 0, 0]
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      for (const byte of chunk) if (byte === 10) lines++
      bytes += chunk.length
      progress.show(`${Math.max(0, lines)} lines, ${byteText(bytes)}`)
      done(null, chunk)
    },
  })
  const body = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0])
  if (out === undefined) await pipeline(body, counted, process.stdout, { end: false })
  else await pipeline(body, counted, createWriteStream(out))
  progress.clear()
  const isCut = query.where === undefined && available > limit
  if (json && out !== undefined) console.log(JSON.stringify({ out, bytes, available, limit, isCut }))
  else if (out !== undefined) console.error(`${byteText(bytes)} in ${out}`)
  if (isCut && !json) console.error(`${available - limit} more records are there: raise --limit, or go on with --from`)
}
