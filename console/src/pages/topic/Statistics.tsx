// Statistics of a topic's newest records: sizes, keys, null shares, lateness. Exact over the sample, and it says over which.
import { RefreshCw } from 'lucide-react'
import { useState } from 'react'
import type { TopicStatistics, TopicSummary } from '../../../../src/serve/contract.ts'
import { readableType } from '../../api/columns.ts'
import { useStatistics } from '../../api/topics.ts'
import { Bars } from '../../ui/Bars.tsx'
import { formatAge, formatBytes, formatClockZone, formatDuration, formatInteger, formatShare, none } from '../../ui/format.ts'
import { Facts } from '../../ui/PageHead.tsx'
import { Panel } from '../../ui/Panel.tsx'
import { Empty, Failure, Waiting } from '../../ui/parts.tsx'

const samples = [10_000, 100_000, 1_000_000] as const

/** 100 -> `0.1 s`, 60000 -> `1 min`, 86400000 -> `1 d` */
const spanText = (ms: number): string =>
  ms < 60_000 ? `${ms / 1_000} s` : ms < 3_600_000 ? `${ms / 60_000} min` : ms < 86_400_000 ? `${ms / 3_600_000} h` : `${ms / 86_400_000} d`

export function Statistics({ topic }: { topic: TopicSummary }) {
  const [sample, setSample] = useState<number>(100_000)
  const { data, error, isFetching, refetch } = useStatistics(topic.name, sample)
  if (!data) return isFetching || !error ? <Waiting refusal={null} count={8} /> : <Failure error={error} />
  if (data.sampled === 0) return <Empty title="No record to measure">Send one, or look at another topic.</Empty>
  const { sampled, total, keys, sizeBytes, tombstones, firstMs = 0, lastMs = 0, atMs } = data
  const seconds = (lastMs - firstMs) / 1_000
  return (
    <div className="stack">
      <div className="toolbar">
        <p>
          Exact over{' '}
          <b>{sampled === total ? `all ${formatInteger(total)}` : `the newest ${formatInteger(sampled)} of ${formatInteger(total)}`}</b>{' '}
          records, as of {formatAge(Date.now() - atMs)}
        </p>
        <span className="toolbar-end">
          <select
            className="select"
            aria-label="How many records are looked at"
            value={sample}
            onChange={(event) => setSample(Number(event.target.value))}
          >
            {samples.map((count) => (
              <option key={count} value={count}>
                newest {count.toLocaleString('en')}
              </option>
            ))}
          </select>
          <button type="button" className="button" onClick={() => void refetch()} disabled={isFetching}>
            <RefreshCw size={13} className={isFetching ? 'spin' : ''} aria-hidden />
            Again
          </button>
        </span>
      </div>
      {error && <Failure error={error} />}
      <Facts
        facts={[
          ['Oldest', formatClockZone(firstMs)],
          ['Newest', formatClockZone(lastMs)],
          ['Mean rate', seconds > 0 ? `${(sampled / seconds).toLocaleString('en', { maximumSignificantDigits: 3 })} records/s` : none],
          ['Different keys', keys.withKey > 0 ? formatInteger(keys.unique) : 'no keys'],
          ['With key', formatShare(keys.withKey / sampled)],
          ['Tombstones', formatInteger(tombstones)],
        ]}
      />
      <div className="two-columns">
        <ColumnNulls data={data} />
        <div className="stack">
          <Panel title="Size of key and value" note={`${formatBytes(sizeBytes.total)} in all`}>
            <Bars
              label="Sizes"
              bars={(
                [
                  ['smallest', sizeBytes.min],
                  ['median', sizeBytes.p50],
                  ['mean', sizeBytes.mean],
                  ['90 %', sizeBytes.p90],
                  ['99 %', sizeBytes.p99],
                  ['largest', sizeBytes.max],
                ] as const
              ).map(([label, value]) => ({ label, value, text: formatBytes(value) }))}
            />
          </Panel>
          <Lateness data={data} />
        </div>
      </div>
    </div>
  )
}

function ColumnNulls({ data }: { data: TopicStatistics }) {
  const { columns, columnsFrom, sampled, tombstones, undecoded } = data
  const decoded = sampled - tombstones - undecoded
  return (
    <Panel title="NULL in columns" note={columnsFrom === 'declared' ? 'as the table declares them' : 'members found in JSON values'}>
      {columns.length === 0 ? (
        <p className="quiet">No value is a JSON object.</p>
      ) : (
        <Bars
          label="Share of NULL"
          most={1}
          bars={columns.map(({ name, type, nulls }) => ({
            label: (
              <>
                <code>{name}</code> <span className="quiet">{readableType(type)}</span>
              </>
            ),
            value: decoded > 0 ? nulls / decoded : 0,
            text: decoded > 0 ? formatShare(nulls / decoded) : none,
            tone: 'quiet',
          }))}
        />
      )}
      {undecoded > 0 && (
        <p className="warn">
          {formatInteger(undecoded)} records ({formatShare(undecoded / sampled)}) do not fit these columns and are not counted here.
        </p>
      )}
    </Panel>
  )
}

function Lateness({ data: { lateness, sampled } }: { data: TopicStatistics }) {
  if (!lateness) return null
  const { column, buckets, behindWatermark, maxMs, without } = lateness
  const timed = buckets.reduce((sum, { count }) => sum + count, 0)
  return (
    <Panel
      title={column === '_timestamp' ? 'Out of order, by record time' : `Lateness of ${column}`}
      note={maxMs > 0 ? `at most ${formatDuration(maxMs / 1_000)}` : 'all in order'}
    >
      <Bars
        label="How far records are behind the newest before them"
        most={1}
        bars={buckets.map(({ upToMs, count }, index) => ({
          label:
            upToMs === 0 ? 'in order' : upToMs === null ? `over ${spanText(buckets[index - 1]?.upToMs ?? 0)}` : `to ${spanText(upToMs)}`,
          value: timed > 0 ? count / timed : 0,
          text: count === 0 ? '0' : `${formatInteger(count)} (${formatShare(count / timed)})`,
          ...(upToMs !== 0 && { tone: 'warn' as const }),
        }))}
      />
      {behindWatermark !== undefined && (
        <p className={behindWatermark > 0 ? 'warn' : 'quiet'}>
          {behindWatermark > 0
            ? `${formatInteger(behindWatermark)} records (${formatShare(behindWatermark / sampled)}) came behind the declared watermark: windows may have closed without them.`
            : 'None came behind the declared watermark.'}
        </p>
      )}
      {without > 0 && <p className="quiet">{formatInteger(without)} records have no time.</p>}
    </Panel>
  )
}
