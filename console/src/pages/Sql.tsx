// The SQL workspace: what there is to ask, an editor that knows it, a run to the end or live, and the way into the project.
import { useMutation, useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { AlignLeft, BookmarkPlus, Play, Radio, Rocket, Square } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import type { CatalogTable, SqlCheck, SqlSlice } from '../../../src/serve/contract.ts'
import { apiGet, apiSend } from '../api/client.ts'
import { PageHead } from '../ui/PageHead.tsx'
import { Failure, IconButton } from '../ui/parts.tsx'
import { Catalog } from './sql/Catalog.tsx'
import { Deploy, useProjectFiles } from './sql/Deploy.tsx'
import { Editor, type EditorHandle } from './sql/Editor.tsx'
import { Results } from './sql/Results.tsx'
import { SaveAs } from './sql/SaveAs.tsx'
import { SlicePicker } from './sql/Slice.tsx'
import { type RunMode, useRun } from './sql/useRun.ts'

const draftKey = 'millrace.sql.draft'
const historyKey = 'millrace.sql.history'
const HISTORY_MAX = 30

const readHistory = (): string[] => {
  try {
    return JSON.parse(localStorage.getItem(historyKey) ?? '[]') as string[]
  } catch {
    return []
  }
}

export function SqlWorkspace() {
  const { file } = useSearch({ from: '/sql' })
  const navigate = useNavigate({ from: '/sql' })
  const files = useProjectFiles()
  const tables = useQuery({
    queryKey: ['catalog'],
    queryFn: ({ signal }) => apiGet<CatalogTable[]>('/v1/catalog', signal),
    refetchInterval: 10_000,
  })
  const editor = useRef<EditorHandle>(null)
  const [document, setDocument] = useState({ text: localStorage.getItem(draftKey) ?? '' })
  const [{ check, failure }, setCheck] = useState<{ check?: SqlCheck | undefined; failure?: Error | undefined }>({})
  const [deploying, setDeploying] = useState<{ text: string; fileName: string }>()
  const [saving, setSaving] = useState<string>()
  const [slice, setSlice] = useState<SqlSlice>()
  const [past, setPast] = useState(readHistory)
  const { run, start, stop } = useRun()
  const opened = useRef<string | undefined>(undefined)

  // A file is opened once; from then on the text is the user's.
  useEffect(() => {
    const found = files.data?.find(({ name }) => name === file)
    if (!found || opened.current === file) return
    opened.current = file
    setDocument({ text: found.text })
  }, [file, files.data])

  // Nothing written yet: a first statement about what is there.
  useEffect(() => {
    const first = tables.data?.find(({ kind }) => kind === 'materialized table') ?? tables.data?.[0]
    if (first && editor.current?.text() === '' && file === undefined)
      setDocument({ text: `SELECT * FROM ${first.quoted ?? first.name} LIMIT 100;\n` })
  }, [tables.data, file])

  const format = useMutation({
    mutationFn: () => apiSend<{ sql: string }>('POST', '/v1/sql/format', { sql: editor.current?.text() ?? '' }),
    onSuccess: ({ sql }) => {
      setDocument({ text: sql })
      editor.current?.focus()
    },
  })

  const runStatement = (mode: RunMode) => {
    const sql = editor.current?.statement() ?? ''
    if (sql.trim() === '') return
    start(sql, mode, mode === 'latest' ? undefined : slice)
    const next = [sql, ...past.filter((one) => one !== sql)].slice(0, HISTORY_MAX)
    setPast(next)
    localStorage.setItem(historyKey, JSON.stringify(next))
  }
  const errorCount = check?.errors.length ?? 0
  const [problem] = check?.errors ?? []
  const firstError =
    problem &&
    `${problem.position ? `${problem.position.line}:${problem.position.column} ` : ''}${problem.message.replace(/^line \d+, column \d+: /, '')}`
  const plan = check?.statements.findLast((one) => one.plan)?.plan
  return (
    <div className="page sql-page">
      <PageHead title="SQL" note="Flink's dialect over topics and live tables. Nothing here changes anything until it is deployed.">
        <select
          className="filter"
          aria-label="File of the project"
          value={file ?? ''}
          onChange={({ target: { value } }) => void navigate({ search: value === '' ? {} : { file: value } })}
        >
          <option value="">Scratch</option>
          {files.data?.map(({ name }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
        {past.length > 0 && (
          <select className="filter" aria-label="History" value="" onChange={({ target: { value } }) => setDocument({ text: value })}>
            <option value="">History</option>
            {past.map((sql) => (
              <option key={sql} value={sql}>
                {sql.replace(/\s+/g, ' ').slice(0, 80)}
              </option>
            ))}
          </select>
        )}
      </PageHead>
      <div className="sql-grid">
        <Catalog
          tables={tables.data}
          error={tables.error}
          onPick={(text) => editor.current?.insert(text)}
          onSelect={(statement) => editor.current?.begin(statement)}
        />
        <div className="stack">
          <section className="panel sql-edit" aria-label="Editor">
            <Editor
              ref={editor}
              document={document}
              onChange={(text) => file === undefined && localStorage.setItem(draftKey, text)}
              onCheck={(next, why) => setCheck({ check: next, failure: why })}
              onRun={() => runStatement('end')}
              onFormat={() => format.mutate()}
            />
            <footer className="sql-bar">
              {run?.state === 'running' ? (
                <IconButton icon={Square} label="Stop" withText onClick={stop} />
              ) : (
                <>
                  <button type="button" className="button primary" onClick={() => runStatement('end')} title="Ctrl-Enter">
                    <Play size={14} aria-hidden />
                    <span>Run</span>
                  </button>
                  <SlicePicker slice={slice} onChange={setSlice} />
                  <IconButton icon={Radio} label="Live" withText onClick={() => runStatement('live')} />
                  <IconButton icon={Radio} label="From now" withText onClick={() => runStatement('latest')} />
                </>
              )}
              <span className={errorCount > 0 || failure ? 'bad' : 'quiet'} role="status">
                {check === undefined
                  ? failure && `Not looked at: ${failure.message}`
                  : errorCount > 0
                    ? `${firstError}${errorCount > 1 ? ` (+${errorCount - 1})` : ''}`
                    : `${check.statements.length} statement${check.statements.length === 1 ? '' : 's'}, no errors`}
              </span>
              <IconButton icon={AlignLeft} label="Format" withText disabled={format.isPending} onClick={() => format.mutate()} />
              {files.data && (
                <>
                  <IconButton
                    icon={BookmarkPlus}
                    label="Save as…"
                    withText
                    disabled={!hasQuery(check)}
                    onClick={() => setSaving(editor.current?.statement() ?? '')}
                  />
                  <IconButton
                    icon={Rocket}
                    label="Deploy…"
                    withText
                    onClick={() => setDeploying({ text: editor.current?.text() ?? '', fileName: file ?? 'console.sql' })}
                  />
                </>
              )}
            </footer>
            {format.error && <Failure error={format.error} />}
          </section>
          <Results run={run} plan={plan} />
        </div>
      </div>
      {saving !== undefined && (
        <SaveAs
          statement={saving}
          slice={slice}
          onClose={() => setSaving(undefined)}
          onDeploy={(text, fileName) => {
            setSaving(undefined)
            setDeploying({ text, fileName })
          }}
        />
      )}
      {deploying && (
        <Deploy
          text={deploying.text}
          fileName={deploying.fileName}
          onClose={() => setDeploying(undefined)}
          onDeployed={(name) => {
            opened.current = name
            setDocument({ text: deploying.text })
            void navigate({ search: { file: name } })
          }}
        />
      )}
    </div>
  )
}

/** Whether there is a query that could be saved. */
const hasQuery = (check: SqlCheck | undefined): boolean => check?.statements.some(({ type }) => type === 'query') ?? false
