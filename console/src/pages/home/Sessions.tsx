// Sessions that ended last: edits of one user less than half an hour apart.
import { timestampMs } from '../../api/columns.ts'
import { useLiveTable } from '../../api/live.ts'
import { formatDuration, formatInteger, formatMinute, none } from '../../ui/format.ts'
import { Panel } from '../../ui/Panel.tsx'
import { Waiting } from '../../ui/parts.tsx'

const table = 'user_sessions'
/** A session window ends one gap after its last event. */
const gapMs = 30 * 60_000
const shownCount = 50

export function Sessions() {
  return (
    <Panel title="Newest sessions" note="30 min gap" table={table} className="span-4">
      <SessionList />
    </Panel>
  )
}

function SessionList() {
  const { rows, columns, hasData, refusal } = useLiveTable(table, { order: '-session_end', limit: shownCount })
  if (!hasData) return <Waiting refusal={refusal} count={10} />
  const index = Object.fromEntries(columns.map((column, position) => [column.name, position]))
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
    <section className="list-scroll" tabIndex={0} aria-label="Newest sessions">
      <table className="list">
        <thead>
          <tr>
            <th scope="col">User</th>
            <th scope="col" className="number">
              Edits
            </th>
            <th scope="col" className="number">
              Pages
            </th>
            <th scope="col" className="number">
              Active
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ key, cells }) => {
            const startMs = timestampMs(cells[index.session_start ?? -1])
            const lastMs = timestampMs(cells[index.session_end ?? -1]) - gapMs
            return (
              <tr key={key}>
                <td title={`${formatMinute(startMs)} to ${formatMinute(lastMs)} UTC`}>{String(cells[index.user ?? -1])}</td>
                <td className="number">{formatInteger(Number(cells[index.edits ?? -1] ?? 0))}</td>
                <td className="number">{formatInteger(Number(cells[index.pages ?? -1] ?? 0))}</td>
                <td className="number">{lastMs > startMs ? formatDuration((lastMs - startMs) / 1_000) : none}</td>
              </tr>
            )
          })}
        </tbody>
      </table>
      {rows.length === 0 && <p className="quiet">No session has ended yet: one ends after 30 minutes of event time without an edit.</p>}
    </section>
  )
}
