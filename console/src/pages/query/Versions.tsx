// Texts that a query has had: what changed from one to the next, what going back would give, and the way back.
import { unifiedMergeView } from '@codemirror/merge'
import { EditorState } from '@codemirror/state'
import { EditorView } from '@codemirror/view'
import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import type { QueryVersion } from '../../../../src/serve/contract.ts'
import { apiGet } from '../../api/client.ts'
import { formatClock } from '../../ui/format.ts'
import { Badge, Empty, Failure, SkeletonRows } from '../../ui/parts.tsx'
import { sqlLook } from '../sql/codemirror.ts'
import { Comparison, Deploy } from '../sql/Deploy.tsx'
import { useHistory } from './History.tsx'

export function Versions({ id }: { id: string }) {
  const { data, error } = useHistory(id)
  const [picked, setPicked] = useState<number>()
  if (!data) return error ? <Failure error={error} /> : <SkeletonRows />
  const { versions } = data
  if (versions.length === 0) return <Empty title="No version yet">The first is kept when the query starts.</Empty>
  const index = Math.max(
    0,
    versions.findIndex(({ version }) => version === picked),
  )
  const shown = versions[index]
  const current = versions.find(({ isCurrent }) => isCurrent)
  const before = versions[index + 1]
  return (
    <div className="stack">
      <ul className="version-list" aria-label="Versions">
        {versions.map((version) => (
          <li key={version.version}>
            <button
              type="button"
              className="button"
              aria-pressed={version === shown}
              onClick={() => setPicked(version.version)}
            >{`Version ${version.version}`}</button>
            <span className="quiet">
              {formatClock(version.atMs)}, {version.file}
              {version.by && `, by ${version.by}`}
            </span>
            {version.isCurrent && <Badge tone="ok">runs</Badge>}
          </li>
        ))}
      </ul>
      {shown.isCurrent || !current ? (
        <>
          <p className="quiet">{before ? `What version ${shown.version} changed:` : 'The first version that is known:'}</p>
          <Difference from={before?.sql ?? shown.sql} to={shown.sql} />
        </>
      ) : (
        <>
          <p className="quiet">
            From version {current.version}, which runs, back to version {shown.version}:
          </p>
          <Difference from={current.sql} to={shown.sql} />
          <WayBack key={shown.version} query={data.query} version={shown} />
        </>
      )}
    </div>
  )
}

/** The results of the older file beside those of today's, and its deployment with a dry run first. */
function WayBack({ query, version: { version, file } }: { query: string; version: QueryVersion }) {
  const { data, error } = useQuery({
    queryKey: ['version', query, version],
    queryFn: ({ signal }) => apiGet<{ text: string }>(`/v1/queries/${encodeURIComponent(query)}/history/${version}`, signal),
    staleTime: Number.POSITIVE_INFINITY,
  })
  const [isDeploying, setDeploying] = useState(false)
  if (!data) return error ? <Failure error={error} /> : null
  return (
    <>
      <Comparison name={file} text={data.text} />
      <div className="page-actions">
        <button type="button" className="button" onClick={() => setDeploying(true)}>
          Roll back {file}…
        </button>
      </div>
      {isDeploying && <Deploy text={data.text} fileName={file} onClose={() => setDeploying(false)} onDeployed={() => {}} />}
    </>
  )
}

function Difference({ from, to }: { from: string; to: string }) {
  const holder = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const view = new EditorView({
      doc: to,
      parent: holder.current!,
      extensions: [
        sqlLook,
        EditorState.readOnly.of(true),
        EditorView.editable.of(false),
        EditorView.contentAttributes.of({ 'aria-label': 'SQL of this version, with what has changed' }),
        unifiedMergeView({ original: from, mergeControls: false, gutter: true, allowInlineDiffs: true }),
      ],
    })
    return () => view.destroy()
  }, [from, to])
  return <div ref={holder} className="version-difference" />
}
