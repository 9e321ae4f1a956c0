// The SQL workspace in a real browser: what one types is checked and completed, runs, and is deployed and taken back.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Browser, chromium } from 'playwright-core'
import { buildConsole } from '../../scripts/prepare.mjs'
import { countsSql, makeProject, startServer, until, untilRows } from '../harness.ts'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const skip = existsSync(executablePath) ? false : `there is no browser at ${executablePath}: install chromium, or name one in CHROMIUM`
const screenshots = process.env.CONSOLE_SCREENSHOTS

describe('the SQL workspace', { skip, timeout: 120_000 }, () => {
  let browser: Browser
  before(async () => {
    buildConsole()
    const flags = 'no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update disable-sync'
    browser = await chromium.launch({ executablePath, args: flags.split(' ').map((flag) => `--${flag}`) })
  })
  after(() => browser?.close())

  for (const [device, viewport] of Object.entries({ desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } }))
    test(`typed, mended, run, watched live, deployed and undone, on the ${device}`, async (t) => {
      const folder = makeProject(t, { 'pipelines/counts.sql': countsSql })
      const server = await startServer(t, folder)
      const event = (id: string, page: string, n: number) => ({ id, page, n, ts: '2026-03-01 00:00:00.000' })
      await server.post('events', [event('a', '/x', 1), event('b', '/x', 2), event('c', '/y', 4)])
      await untilRows(server, 'counts', [
        ['/x', 2, 3],
        ['/y', 1, 4],
      ])
      const page = await browser.newPage({ viewport })
      t.after(() => page.close())
      page.setDefaultTimeout(20_000)
      const problems: string[] = []
      page.on('pageerror', (error) => problems.push(error.message))
      await page.goto(`${server.ready.url}/sql`)
      const editor = page.locator('.cm-content')
      const status = page.locator('.sql-bar [role=status]')
      const type = async (text: string) => {
        await editor.click()
        await page.keyboard.press('Control+A')
        await page.keyboard.type(text)
        await page.keyboard.press('Escape')
      }
      await editor.getByText('SELECT * FROM counts').waitFor()

      await type('SELECT pgae FROM events')
      await status.filter({ hasText: 'column "pgae" does not exist' }).waitFor()
      await page.locator('.cm-lintRange-error').waitFor()

      await editor.click()
      await page.keyboard.press('Control+A')
      await page.keyboard.type('SELECT * FROM ev')
      await page.locator('.cm-tooltip-autocomplete').getByText('events').first().waitFor()
      await type('SELECT page, SUM(n) AS total FROM events GROUP BY page')
      await status.filter({ hasText: '1 statement, no errors' }).waitFor()
      await editor.press('Control+Enter')
      const rows = page.locator('.sql-results .grid-body [role=row]')
      await until(async () => (await rows.count()) === 2, 'the result has not two rows')
      assert.deepEqual((await rows.allInnerTexts()).map((text) => text.replace(/\s+/g, ' ')).sort(), ['/x 3', '/y 4'])

      await page.getByRole('button', { name: 'Live', exact: true }).click()
      await until(async () => (await rows.count()) === 2, 'the live result has not two rows')
      await server.post('events', [event('d', '/z', 9)])
      await until(async () => (await rows.count()) === 3, 'a new row does not come by itself')
      await page.getByRole('radio', { name: 'Changes' }).check({ force: true })
      await page.locator('.sql-changes tbody tr', { hasText: '/z' }).first().waitFor()
      if (screenshots) await page.screenshot({ path: join(screenshots, `sql-live-${device}-light.png`) })
      await page.getByRole('button', { name: 'Stop' }).click()

      const statement = 'CREATE MATERIALIZED TABLE totals AS SELECT page, SUM(n) AS total FROM events GROUP BY page;'
      await type(statement)
      await status.filter({ hasText: 'no errors' }).waitFor()
      await page.getByRole('button', { name: 'Deploy…' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.locator('.deploy-name').fill('totals.sql')
      await dialog.getByText('will start anew: totals').waitFor()
      await dialog.getByText('stay as they are: counts').waitFor()
      await dialog.getByLabel('Compare over').selectOption('earliest')
      await dialog.getByRole('button', { name: 'Forecast its state' }).click()
      await dialog.getByText(/Measured over \d records/).waitFor()
      await dialog.getByText(/totals: \d+ B of state, 3 rows of \d+ B/).waitFor()
      if (screenshots) await page.screenshot({ path: join(screenshots, `sql-forecast-${device}-light.png`) })
      assert.equal(existsSync(join(folder, 'pipelines/totals.sql')), false, 'a dry run wrote the file')
      await dialog.getByRole('button', { name: 'Deploy' }).click()
      await dialog.getByText('started: totals').waitFor()
      if (screenshots) await page.screenshot({ path: join(screenshots, `sql-deployed-${device}-light.png`) })
      assert.equal(readFileSync(join(folder, 'pipelines/totals.sql'), 'utf8'), statement)
      await untilRows(server, 'totals', [
        ['/x', 3],
        ['/y', 4],
        ['/z', 9],
      ])
      await dialog.getByRole('button', { name: 'Undo' }).click()
      await dialog.getByText('stopped: totals').waitFor()
      assert.equal(existsSync(join(folder, 'pipelines/totals.sql')), false)
      await dialog.getByRole('button', { name: 'Close' }).click()

      // A change beside what runs, before it is made.
      await editor.click()
      await page.keyboard.press('Control+A')
      await page.keyboard.insertText(countsSql.replace('SUM(n)', 'MAX(n)'))
      await page.keyboard.press('Escape')
      await status.filter({ hasText: '2 statements, no errors' }).waitFor()
      await page.getByRole('button', { name: 'Deploy…' }).click()
      await dialog.locator('.deploy-name').fill('counts.sql')
      await dialog.getByText('will start anew: counts').waitFor()
      await dialog.getByLabel('Compare over').selectOption('earliest')
      await dialog.getByRole('button', { name: 'Compare with what runs' }).click()
      await dialog.getByText('2 rows the same, 1 changed, 0 only before, 0 only after (4 records)').waitFor()
      // The second row of /x is the first whose sum is not its maximum.
      await dialog.getByText('"id":"b"').waitFor()
      if (screenshots) await page.screenshot({ path: join(screenshots, `sql-compared-${device}-light.png`) })
      await dialog.getByRole('button', { name: 'Close' }).click()
      assert.deepEqual(problems, [])
    })
})
