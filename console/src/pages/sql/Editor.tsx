// The SQL editor: CodeMirror, with errors and completions from the server's own parser.
//
// The editor owns its text; `text` sets it only when its identity (`document`) changes, so typing never goes round through React.
import { autocompletion, type Completion, type CompletionContext, closeBrackets, completionKeymap } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands'
import { bracketMatching, indentOnInput } from '@codemirror/language'
import { type Diagnostic, linter, lintGutter, lintKeymap } from '@codemirror/lint'
import { Prec } from '@codemirror/state'
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers, placeholder } from '@codemirror/view'
import { useEffect, useImperativeHandle, useRef } from 'react'
import type { SqlCheck, SqlCompletion, SqlCompletions } from '../../../../src/serve/contract.ts'
import { apiSend } from '../../api/client.ts'
import { sqlLook } from './codemirror.ts'

const CHECK_PAUSE_MS = 350

export interface EditorHandle {
  text(): string
  /** What is selected, else the statement at the cursor, else everything. */
  statement(): string
  insert(text: string): void
  /** Puts a statement before all others, with the cursor in it: it is what Run runs. */
  begin(statement: string): void
  focus(): void
}
export interface EditorProps {
  ref: React.Ref<EditorHandle>
  /** A new one replaces the text. */
  document: { text: string }
  onChange: (text: string) => void
  /** @param failure  why the server did not look at it */
  onCheck: (check: SqlCheck | undefined, failure?: Error) => void
  onRun: () => void
  onFormat: () => void
}

/** By kind: how CodeMirror marks it, and how far up it stands. */
const looks: Record<SqlCompletion['kind'], { type: string; boost: number }> = {
  column: { type: 'property', boost: 3 },
  option: { type: 'constant', boost: 3 },
  value: { type: 'text', boost: 3 },
  table: { type: 'class', boost: 2 },
  function: { type: 'function', boost: 1 },
  type: { type: 'type', boost: 1 },
  keyword: { type: 'keyword', boost: 0 },
}

/** The parser of the server offers what it would take; one letter, a dot or a quote is enough to ask. */
async function complete(context: CompletionContext) {
  if (!context.explicit && !context.matchBefore(/[\p{L}\p{N}_$]|[\p{L}\p{N}_$`]\.|'[^'\n]*/u)) return null
  const { start, items } = await apiSend<SqlCompletions>('POST', '/v1/sql/complete', {
    sql: context.state.doc.toString(),
    offset: context.pos,
  }).catch(() => ({ start: context.pos, items: [] }))
  return {
    from: start,
    options: items.map(
      ({ label, kind }): Completion => ({
        label,
        ...looks[kind],
        detail: kind === 'keyword' ? '' : kind,
        ...(kind === 'function' && { apply: `${label}(` }),
        ...(label.startsWith("'") && { apply: writeText }),
      }),
    ),
    validFor: /^(?:[\p{L}\p{N}_$]*|'[\w.-]*)$/u,
  }
}

/** A key or value takes the place of what is between the quotes, and of the quote behind it. */
function writeText(view: EditorView, { label }: Completion, from: number, to: number): void {
  const rest = /^[\w.-]*'/.exec(view.state.sliceDoc(to, to + 100))?.[0] ?? ''
  view.dispatch({
    changes: { from, to: to + rest.length, insert: label },
    selection: { anchor: from + label.length },
    userEvent: 'input.complete',
  })
}

export function Editor({ ref, document, onChange, onCheck, onRun, onFormat }: EditorProps) {
  const holder = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView | null>(null)
  const check = useRef<SqlCheck | undefined>(undefined)
  const newest = useRef({ onChange, onCheck, onRun, onFormat })
  newest.current = { onChange, onCheck, onRun, onFormat }

  // biome-ignore lint/correctness/useExhaustiveDependencies: the editor is made once; a new document replaces its text below
  useEffect(() => {
    const editor = new EditorView({
      doc: document.text,
      parent: holder.current!,
      extensions: [
        lineNumbers(),
        history(),
        drawSelection(),
        highlightActiveLine(),
        indentOnInput(),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ override: [complete], maxRenderedOptions: 60 }),
        linter(lint, { delay: CHECK_PAUSE_MS }),
        lintGutter(),
        placeholder('SELECT … FROM …    Ctrl-Enter runs it'),
        EditorView.contentAttributes.of({ 'aria-label': 'SQL' }),
        sqlLook,
        Prec.highest(
          keymap.of([
            {
              key: 'Mod-Enter',
              run: () => {
                newest.current.onRun()
                return true
              },
            },
            {
              key: 'Shift-Alt-f',
              run: () => {
                newest.current.onFormat()
                return true
              },
            },
          ]),
        ),
        keymap.of([...completionKeymap, ...lintKeymap, ...historyKeymap, ...defaultKeymap, indentWithTab]),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged) return
          // Where statements stand is known until the next check, too: who types and runs at once runs what is there now.
          const statements = check.current?.statements.map((one) => ({
            ...one,
            start: update.changes.mapPos(one.start, -1),
            end: update.changes.mapPos(one.end, 1),
          }))
          if (check.current && statements) check.current = { ...check.current, statements }
          newest.current.onChange(update.state.doc.toString())
        }),
      ],
    })
    async function lint(): Promise<Diagnostic[]> {
      const text = editor.state.doc.toString()
      let failure: Error | undefined
      const result =
        text.trim() === ''
          ? undefined
          : await apiSend<SqlCheck>('POST', '/v1/sql/check', { sql: text }).catch((error: Error) => {
              failure = error
              return undefined
            })
      // What was typed meanwhile is looked at next.
      if (editor.state.doc.toString() !== text) return []
      check.current = result
      newest.current.onCheck(result, failure)
      const end = editor.state.doc.length
      const marks = (result?.marks ?? []).map(
        ({ message, hint, position }): Diagnostic => ({
          from: Math.min(position.start, end),
          to: Math.min(position.end, end),
          severity: 'info',
          source: 'Flink',
          message: `${message}\n${hint}`,
        }),
      )
      const errors = (result?.errors ?? []).map(({ code, message, hint, position }): Diagnostic => {
        const from = Math.min(position?.start ?? 0, end)
        return {
          from,
          to: Math.min(Math.max(position?.end ?? 0, from), end),
          severity: 'error',
          source: code,
          message: `${message}\n${hint}`,
        }
      })
      return [...errors, ...marks]
    }
    view.current = editor
    return () => editor.destroy()
  }, [])

  useEffect(() => {
    const editor = view.current
    if (editor && editor.state.doc.toString() !== document.text)
      editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: document.text } })
  }, [document])

  useImperativeHandle(ref, () => ({
    text: () => view.current?.state.doc.toString() ?? '',
    statement: () => {
      const { state } = view.current!
      const { from, to, head } = state.selection.main
      if (from !== to) return state.sliceDoc(from, to)
      const all = check.current?.statements ?? []
      const at = all.find(({ start, end }) => start <= head && head <= end + 1) ?? all.findLast(({ start }) => start <= head)
      return (at ? state.sliceDoc(at.start, at.end) : state.doc.toString()).replace(/;\s*$/, '')
    },
    insert: (text) => {
      const editor = view.current!
      editor.dispatch(editor.state.replaceSelection(text))
      editor.focus()
    },
    begin: (statement) => {
      const editor = view.current!
      editor.dispatch({
        changes: { from: 0, insert: `${statement}\n` },
        selection: { anchor: statement.length - 1 },
        scrollIntoView: true,
      })
      editor.focus()
    },
    focus: () => view.current?.focus(),
  }))
  return <div ref={holder} className="sql-editor" />
}
