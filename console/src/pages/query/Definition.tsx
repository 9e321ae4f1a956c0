// What a query is: its text as it was deployed, what it uses, and each setting with its value, where that comes from, and what a change of it does.
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import type { QueryConfig, SettingSource } from '../../../../src/serve/contract.ts'
import { apiGet } from '../../api/client.ts'
import { downloadRows } from '../../ui/export.ts'
import { Badge, ExportButtons, Segmented, Sql, Waiting } from '../../ui/parts.tsx'
import { FactTable } from './FactTable.tsx'
import { Parity } from './Parity.tsx'

export const useConfig = (id: string) =>
  useQuery({
    queryKey: ['config', id],
    queryFn: ({ signal }) => apiGet<QueryConfig>(`/v1/queries/${encodeURIComponent(id)}/config`, signal),
    // An edit of the project changes it.
    refetchInterval: 5_000,
  })

type Setting = QueryConfig['settings'][number]

const placeText = ({ file, line, column }: Pick<SettingSource, 'file' | 'line' | 'column'>): string =>
  [file, line, column].filter((part) => part !== undefined).join(':')

/** `SET pipelines/orders.sql:2:1` */
const sourceText = ({ kind, name, ...place }: SettingSource): string =>
  kind === 'config file' ? (place.file ?? kind) : [kind, name ?? placeText(place)].filter(Boolean).join(' ')

/** A place in a file of the project opens it in the workspace. */
const Place = ({ at }: { at: Pick<SettingSource, 'file' | 'line' | 'column'> }) => (
  <Link to="/sql" search={{ file: at.file?.replace(/^.*[/\\]/, '') ?? '' }}>
    {placeText(at)}
  </Link>
)
const Source = ({ source }: { source: SettingSource }) =>
  source.line === undefined ? (
    <span>{sourceText(source)}</span>
  ) : (
    <span>
      {source.kind} <Place at={source} />
    </span>
  )

function changeText(change: Setting['change'], isTable: boolean): string {
  switch (change) {
    case 'at once':
      return 'is taken up while it runs'
    case 'restart':
      return 'starts it again, with its state'
    case 'new plan':
      return isTable ? 'computes the table anew' : 'keeps the state that fits'
    case 'at its beginning':
      return 'counts when it begins without state'
    case 'nothing':
      return 'changes nothing'
  }
}

/** @param isTable  it keeps a table; else it writes elsewhere */
export function Definition({ id, isTable }: { id: string; isTable: boolean }) {
  const { data, error } = useConfig(id)
  if (!data) return <Waiting refusal={error} count={4} />
  const uses = data.declared.filter(({ name }) => name !== id)
  return (
    <div className="stack">
      <section className="stack" aria-label="As it was deployed">
        <p className="quiet">
          As it was deployed, from <Place at={data} />
        </p>
        <Sql sql={data.sql} />
      </section>
      {(uses.length > 0 || data.builtIns.length > 0) && (
        <section className="stack" aria-label="What it uses">
          <h3>What it uses</h3>
          {uses.map((one) => (
            <details key={`${one.kind} ${one.name}`} className="declared">
              <summary>
                <b>{one.name}</b> <Badge>{one.kind}</Badge> <span className="quiet">{placeText(one)}</span>
              </summary>
              <Sql sql={one.sql} />
            </details>
          ))}
          {data.builtIns.length > 0 && (
            <p className="quiet">
              Functions: <code>{data.builtIns.join(', ')}</code>
            </p>
          )}
        </section>
      )}
      <Settings id={id} settings={data.settings} isTable={isTable} />
      <Parity id={id} />
    </div>
  )
}

function Settings({ id, settings, isTable }: { id: string; settings: readonly Setting[]; isTable: boolean }) {
  const [shows, setShows] = useState<'all' | 'changed'>('all')
  const changed = settings.filter(({ source }) => source.kind !== 'default')
  const shown = shows === 'all' ? settings : changed
  return (
    <section className="stack" aria-label="Settings">
      <h3>Settings</h3>
      <div className="filters">
        <Segmented
          label="Which settings"
          value={shows}
          options={[
            { value: 'all', label: `All ${settings.length}` },
            { value: 'changed', label: `Changed ${changed.length}` },
          ]}
          onChange={setShows}
        />
        <ExportButtons
          onExport={(format) =>
            downloadRows(
              `${id}-settings`,
              format,
              ['of', 'setting', 'value', 'default', 'source', 'change', 'note'],
              shown.map(({ table, name, value, default: otherwise, source, change, note }) => [
                table ?? null,
                name,
                value,
                otherwise ?? null,
                sourceText(source),
                change,
                note ?? null,
              ]),
            )
          }
        />
      </div>
      {shown.length === 0 ? (
        <p className="quiet">Every setting is at its default.</p>
      ) : (
        <FactTable
          heads={['Setting', 'Of', 'Value', 'Default', 'Source', 'A change of it']}
          rows={shown.map(({ table, name, value, default: otherwise, source, change, note }) => [
            <code key="name">{name}</code>,
            table ?? 'the query',
            <code key="value">{value}</code>,
            otherwise === undefined || otherwise === value ? '' : <code key="default">{otherwise}</code>,
            <Source key="source" source={source} />,
            note ?? changeText(change, isTable),
          ])}
        />
      )}
    </section>
  )
}
