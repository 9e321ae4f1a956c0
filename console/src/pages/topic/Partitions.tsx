// The partitions of a topic: offsets, sizes, how old and how new their records are.
import { Link } from '@tanstack/react-router'
import type { TopicSummary } from '../../../../src/serve/contract.ts'
import { usePartitions } from '../../api/topics.ts'
import { downloadRows } from '../../ui/export.ts'
import { formatAge, formatBytes, formatClockZone, formatInteger, formatShare, none } from '../../ui/format.ts'
import { Panel } from '../../ui/Panel.tsx'
import { ExportButtons, useNow, Waiting } from '../../ui/parts.tsx'

export function Partitions({ topic: { name, recordCount } }: { topic: TopicSummary }) {
  const { data: partitions, error } = usePartitions(name)
  const nowMs = useNow()
  const time = (ms: number | undefined) =>
    ms === undefined ? none : <span title={formatClockZone(ms)}>{formatAge(Math.max(0, nowMs - ms))}</span>
  return (
    <Panel
      title="Partitions"
      note="records keep their order within one"
      actions={
        <ExportButtons
          onExport={(format) =>
            downloadRows(
              `${name}-partitions`,
              format,
              ['partition', 'first_offset', 'next_offset', 'size_bytes', 'files', 'oldest_ms', 'newest_ms'],
              (partitions ?? []).map((one) => [
                one.partition,
                one.startOffset,
                one.endOffset,
                one.sizeBytes,
                one.segmentCount,
                one.oldestMs,
                one.newestMs,
              ]),
            )
          }
        />
      }
    >
      {!partitions ? (
        <Waiting refusal={error} count={3} />
      ) : (
        <div className="table-scroll">
          <table className="list facts-table">
            <thead>
              <tr>
                <th scope="col">Partition</th>
                <th scope="col" className="number">
                  First offset
                </th>
                <th scope="col" className="number">
                  Next offset
                </th>
                <th scope="col" className="number">
                  Records
                </th>
                <th scope="col" className="number">
                  Share
                </th>
                <th scope="col" className="number">
                  Size
                </th>
                <th scope="col" className="number">
                  Files
                </th>
                <th scope="col">Oldest record</th>
                <th scope="col">Newest record</th>
              </tr>
            </thead>
            <tbody>
              {partitions.map(({ partition, startOffset, endOffset, sizeBytes, segmentCount, oldestMs, newestMs }) => (
                <tr key={partition}>
                  <td data-label="Partition">
                    <Link to="/topics/$name/$tab" params={{ name, tab: 'messages' }} search={{ partition, from: 'newest' }}>
                      {partition}
                    </Link>
                  </td>
                  <td data-label="First offset" className="number">
                    {formatInteger(startOffset)}
                  </td>
                  <td data-label="Next offset" className="number">
                    {formatInteger(endOffset)}
                  </td>
                  <td data-label="Records" className="number">
                    {formatInteger(endOffset - startOffset)}
                  </td>
                  <td data-label="Share" className="number">
                    {recordCount > 0 ? formatShare((endOffset - startOffset) / recordCount) : none}
                  </td>
                  <td data-label="Size" className="number">
                    {formatBytes(sizeBytes)}
                  </td>
                  <td data-label="Files" className="number">
                    {segmentCount}
                  </td>
                  <td data-label="Oldest record" className="nowrap">
                    {time(oldestMs)}
                  </td>
                  <td data-label="Newest record" className="nowrap">
                    {time(newestMs)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  )
}
