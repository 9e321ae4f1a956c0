// millrace sql: a statement against a running server, or a prompt.
import { createInterface } from 'node:readline/promises'
import { splitStatements } from '../../sql/index.ts'
import { call, type Target } from '../client.ts'
import { reportError, tableText } from '../output.ts'

interface SqlAnswer {
  columns: { name: string; type: string }[]
  rows: unknown[][]
}

const isNumeric = (type: string): boolean => /^(TINYINT|SMALLINT|INT|BIGINT|DECIMAL|FLOAT|DOUBLE)/.test(type)

async function run(target: Target, sql: string, json: boolean): Promise<void> {
  const response = await call(target, '/v1/sql', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sql, numbers: json ? 'exact' : 'string' }),
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
    const names = columns.map(({ name }) => name)
    const numeric = columns.map(({ type }) => isNumeric(type))
    console.log(tableText(names, rows, numeric))
    console.log(`${rows.length} ${rows.length === 1 ? 'row' : 'rows'}`)
  }
}

/** Runs the statements of a text one after the other; an error is shown with its line, and the next one runs. */
export async function runSql(target: Target, text: string, json: boolean): Promise<void> {
  for (const { text: sql } of splitStatements(text)) await run(target, sql, json).catch((error) => reportError(error, json, { text: sql }))
}

/** Reads statements that end with `;` until the input ends. */
export async function promptSql(target: Target, json: boolean): Promise<void> {
  const isTerminal = process.stdin.isTTY
  const lines = createInterface({ input: process.stdin, output: process.stdout, terminal: isTerminal, prompt: 'millrace> ' })
  if (isTerminal) console.log(`Statements go to ${target.url}. End one with ";", leave with Ctrl-D. Try: SHOW TABLES;`)
  let buffer = ''
  if (isTerminal) lines.prompt()
  for await (const line of lines) {
    buffer += `${line}\n`
    if (line.trimEnd().endsWith(';')) {
      await runSql(target, buffer, json)
      buffer = ''
    }
    lines.setPrompt(buffer.trim() ? '      -> ' : 'millrace> ')
    if (isTerminal) lines.prompt()
  }
  await runSql(target, buffer, json)
}
