// millrace sql: a statement against a running server, or a prompt.
import { createInterface } from 'node:readline/promises'
import { call, type Target } from '../client.ts'
import { reportError, tableText } from '../output.ts'

interface SqlAnswer {
  columns: { name: string; type: string }[]
  rows: unknown[][]
}

export async function runSql(target: Target, sql: string, json: boolean): Promise<void> {
  const response = await call(target, '/v1/sql', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sql, numbers: 'string' }),
  })
  const text = await response.text()
  if (json) {
    console.log(text)
    return
  }
  const { columns, rows } = JSON.parse(text) as SqlAnswer
  const isPlan = columns.length === 1 && rows.some(([value]) => String(value).includes('\n'))
  if (isPlan) for (const [value] of rows) console.log(String(value))
  else {
    console.log(
      tableText(
        columns.map(({ name }) => name),
        rows,
      ),
    )
    console.log(`${rows.length} ${rows.length === 1 ? 'row' : 'rows'}`)
  }
}

/** Reads statements that end with `;` until the input ends. */
export async function promptSql(target: Target, json: boolean): Promise<void> {
  const isTerminal = process.stdin.isTTY
  const lines = createInterface({ input: process.stdin, output: process.stdout, terminal: isTerminal, prompt: 'millrace> ' })
  if (isTerminal) console.log(`Connected to ${target.url}. End a statement with ";", leave with Ctrl-D. Try: SHOW TABLES;`)
  let buffer = ''
  if (isTerminal) lines.prompt()
  for await (const line of lines) {
    buffer += `${line}\n`
    if (line.trimEnd().endsWith(';')) {
      const sql = buffer.trim().replace(/;+$/, '')
      buffer = ''
      if (sql) await runSql(target, sql, json).catch((error) => reportError(error, json))
    }
    lines.setPrompt(buffer.trim() ? '      -> ' : 'millrace> ')
    if (isTerminal) lines.prompt()
  }
  if (buffer.trim()) await runSql(target, buffer.trim(), json)
}
