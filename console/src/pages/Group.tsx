// One consumer group: members, and for each partition where it is, where the end is, and how far behind that leaves it.
import { useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { RotateCcw, Trash2 } from 'lucide-react'
import { useRef, useState } from 'react'
import type { GroupDetail } from '../../../src/serve/contract.ts'
import { ApiFailure, apiSend, groupPath } from '../api/client.ts'
import { useGroupHistory } from '../api/figures.ts'
import { useGroup, useReason } from '../api/topics.ts'
import { type MetricChart, MetricCharts } from '../charts/MetricChart.tsx'
import { Sparkline } from '../charts/Sparkline.tsx'
import { downloadRows } from '../ui/export.ts'
import { formatAge, formatClockZone, formatCompact, formatInteger, formatSpan, formatSpanAxis, none } from '../ui/format.ts'
import { FormDialog } from '../ui/forms.tsx'
import { Facts, PageHead } from '../ui/PageHead.tsx'
import { Panel } from '../ui/Panel.tsx'
import { Empty, ExportButtons, Failure, SkeletonRows, Status, useIsPhone, useNow } from '../ui/parts.tsx'
import { TimePicker } from '../ui/TimePicker.tsx'
import { ResetDialog } from './group/ResetDialog.tsx'
import { groupTone, lagTime } from './topic/Consumers.tsx'

const historyCount = 180
const charts: readonly MetricChart[] = [
  {
    title: 'In records',
    note: 'in sum',
    format: formatCompact,
    lines: [{ metric: 'lagRecords', label: 'Behind', color: '--accent' }],
  },
  {
    title: 'In time',
    note: 'how long the oldest that was not read has been there',
    format: formatSpan,
    formatAxis: formatSpanAxis,
    lines: [{ metric: 'lagMs', label: 'Behind for', color: '--event' }],
  },
]

export function Group() {
  const { id } = useParams({ from: '/groups/$id' })
  const { data: group, error, dataUpdatedAt } = useGroup(id)
  const isUnknown = error instanceof ApiFailure && error.status === 404
  return (
    <div className="page">
      {!group && (isUnknown ? <Empty title={`No group ${id}`}>{error.hint}</Empty> : error ? <Failure error={error} /> : <SkeletonRows />)}
      {group && <GroupPage key={id} group={group} atMs={dataUpdatedAt} />}
    </div>
  )
}

/** The lag of each partition as it was while this page looked, newest last. */
function useLags({ partitions }: GroupDetail, atMs: number): Map<string, number[]> {
  const memory = useRef({ atMs: 0, lags: new Map<string, number[]>() })
  if (memory.current.atMs !== atMs) {
    memory.current.atMs = atMs
    for (const { topic, partition, lag } of partitions) {
      const key = `${topic}/${partition}`
      // Not known is not 0.
      if (lag === undefined) continue
      memory.current.lags.set(key, [...(memory.current.lags.get(key) ?? []).slice(1 - historyCount), lag])
    }
  }
  return memory.current.lags
}

function GroupPage({ group, atMs }: { group: GroupDetail; atMs: number }) {
  const { id, state, type, memberCount, members, partitions, topics, lag, lagMs } = group
  const [dialog, setDialog] = useState<'reset' | 'delete' | null>(null)
  const reason = useReason('admin')
  const lags = useLags(group, atMs)
  const figures = useGroupHistory(id)
  const isPhone = useIsPhone()
  const nowMs = useNow()
  const clientOf = new Map(members.map((member) => [member.id, member.clientId]))
  return (
    <>
      <PageHead title={id} parent={{ to: '/groups', label: 'Groups' }}>
        <ExportButtons
          onExport={(format) =>
            downloadRows(
              `group-${id}`,
              format,
              ['topic', 'partition', 'offset', 'first_offset', 'end_offset', 'lag', 'lag_ms', 'committed_ms', 'member'],
              partitions.map((one) => [
                one.topic,
                one.partition,
                one.offset,
                one.startOffset,
                one.endOffset,
                one.lag,
                one.lagMs,
                one.committedMs,
                one.memberId,
              ]),
            )
          }
        />
        <button type="button" className="button" onClick={() => setDialog('reset')}>
          <RotateCcw size={13} aria-hidden />
          Reset offsets…
        </button>
        <button type="button" className="button danger" disabled={reason !== undefined} title={reason} onClick={() => setDialog('delete')}>
          <Trash2 size={13} aria-hidden />
          Delete…
        </button>
      </PageHead>
      <Facts
        facts={[
          [
            'State',
            <Status key="state" tone={groupTone(state)}>
              {state}
            </Status>,
          ],
          ['Members', String(memberCount)],
          ['Behind', `${formatInteger(lag)} records`],
          ['For', lagTime(lagMs)],
          ['Topics', String(topics.length)],
          ['Protocol', type === 'consumer' ? 'KIP-848' : 'classic'],
        ]}
      />
      <Panel title="Behind over time" note="all partitions">
        {isPhone && <TimePicker />}
        <MetricCharts charts={charts} history={figures.data} refusal={figures.error} />
      </Panel>
      <Panel title="Partitions" note="how far behind, in records and in time">
        <div className="table-scroll">
          <table className="list facts-table">
            <thead>
              <tr>
                <th scope="col">Topic</th>
                <th scope="col" className="number">
                  Partition
                </th>
                <th scope="col" className="number">
                  Offset
                </th>
                <th scope="col" className="number">
                  End
                </th>
                <th scope="col" className="number">
                  Behind
                </th>
                <th scope="col" className="wide-only">
                  Since you look
                </th>
                <th scope="col" className="number">
                  For
                </th>
                <th scope="col">Committed</th>
                <th scope="col">Read by</th>
              </tr>
            </thead>
            <tbody>
              {partitions.map(({ topic, partition, offset, endOffset, lag: behind, lagMs: behindMs, committedMs, memberId }) => (
                <tr key={`${topic}/${partition}`}>
                  <td data-label="Topic">
                    <Link to="/topics/$name/$tab" params={{ name: topic, tab: 'consumers' }}>
                      <code>{topic}</code>
                    </Link>
                  </td>
                  <td data-label="Partition" className="number">
                    {partition}
                  </td>
                  <td data-label="Offset" className="number">
                    {offset === undefined ? (
                      none
                    ) : (
                      <Link
                        to="/topics/$name/$tab"
                        params={{ name: topic, tab: 'messages' }}
                        search={{ from: 'offset', offset, partition }}
                        title="The next record that it reads"
                      >
                        {formatInteger(offset)}
                      </Link>
                    )}
                  </td>
                  <td data-label="End" className="number">
                    {formatInteger(endOffset)}
                  </td>
                  <td data-label="Behind" className={behind ? 'number warn' : 'number'}>
                    {behind === undefined ? none : formatInteger(behind)}
                  </td>
                  <td data-label="Since you look" className="spark wide-only">
                    <Sparkline values={lags.get(`${topic}/${partition}`) ?? []} color="var(--warn)" />
                  </td>
                  <td data-label="For" className="number nowrap">
                    {lagTime(behindMs)}
                  </td>
                  <td
                    data-label="Committed"
                    className="nowrap"
                    title={committedMs === undefined ? undefined : formatClockZone(committedMs)}
                  >
                    {committedMs === undefined ? 'never' : formatAge(Math.max(0, nowMs - committedMs))}
                  </td>
                  <td data-label="Read by">
                    {memberId === undefined ? <span className="quiet">nobody</span> : <code>{clientOf.get(memberId) ?? memberId}</code>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {partitions.length === 0 && <p className="quiet">It has committed nothing, and reads nothing.</p>}
        </div>
      </Panel>
      <Panel title="Members">
        {members.length === 0 ? (
          <p className="quiet">Nobody is here. What the group has committed stays; its next member goes on there.</p>
        ) : (
          <div className="table-scroll">
            <table className="list facts-table">
              <thead>
                <tr>
                  <th scope="col">Client</th>
                  <th scope="col">Host</th>
                  <th scope="col">Reads</th>
                  <th scope="col">Member</th>
                </tr>
              </thead>
              <tbody>
                {members.map(({ id: member, instanceId, clientId, host, assigned }) => (
                  <tr key={member}>
                    <td data-label="Client">
                      {clientId}
                      {instanceId && <span className="quiet"> as {instanceId}</span>}
                    </td>
                    <td data-label="Host">{host}</td>
                    <td data-label="Reads">
                      {assigned.length > 0 ? (
                        assigned.map(({ topic, partition }) => `${topic}/${partition}`).join(', ')
                      ) : (
                        <span className="quiet">{state === 'Stable' ? 'nothing' : 'being assigned'}</span>
                      )}
                    </td>
                    <td data-label="Member">
                      <code className="quiet">{member}</code>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      {dialog === 'reset' && <ResetDialog group={group} onClose={() => setDialog(null)} />}
      {dialog === 'delete' && <DeleteDialog group={group} onClose={() => setDialog(null)} />}
    </>
  )
}

function DeleteDialog({ group: { id, memberCount, partitions }, onClose }: { group: GroupDetail; onClose: () => void }) {
  const queries = useQueryClient()
  const navigate = useNavigate()
  const remove = async (): Promise<void> => {
    await apiSend('DELETE', groupPath(id))
    await navigate({ to: '/groups' })
    void queries.invalidateQueries({ queryKey: ['groups'] })
  }
  return (
    <FormDialog
      title={`Delete group ${id}`}
      action="Delete"
      isDanger
      reason={memberCount > 0 ? `It has ${memberCount} ${memberCount === 1 ? 'member' : 'members'}: stop its consumers first.` : undefined}
      onClose={onClose}
      onSubmit={remove}
    >
      <p>
        This forgets the committed offsets of {partitions.length} {partitions.length === 1 ? 'partition' : 'partitions'}. A consumer of this
        name then begins where its own settings say (<code>auto.offset.reset</code>). The records stay.
      </p>
    </FormDialog>
  )
}
