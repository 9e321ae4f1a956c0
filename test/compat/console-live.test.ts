// A live run in the SQL workspace: its picture is held and goes on; its chart is drawn by either time; the catalog by keys; keys and values in quotes.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { checkFrame, launchBrowser, open, shot, skipWithoutBrowser, tabTo, textOf, watched } from '../browser.ts'
import { countsSql, makeProject, startServer, until, untilRows } from '../harness.ts'

const event = (id: string, page: string, n: number, second = 0) => ({ id, page, n, ts: `2026-03-01 00:00:0${second}.000` })
const newestSql = `${countsSql}
CREATE MATERIALIZED TABLE newest (PRIMARY KEY (page) NOT ENFORCED) AS
SELECT page, MAX(ts) AS ts, COUNT(*) AS events FROM events GROUP BY page;
`

describe('a live run and its picture', { skip: skipWithoutBrowser, timeout: 180_000 }, () => {
  let browser: Browser
  before(async () => {
    browser = await launchBrowser()
  })
  after(() => browser?.close())

  const result = (page: Page) => page.locator('.sql-results')
  const rows = (page: Page) => result(page).locator('.grid-body [role=row]')
  const choose = (page: Page, name: string) => page.getByRole('radio', { name, exact: true }).check({ force: true })
  const untilRowCount = (page: Page, count: number, message: string) => until(async () => (await rows(page).count()) === count, message)
  async function write(page: Page, text: string): Promise<void> {
    await page.locator('.cm-content').click()
    await page.keyboard.press('Control+A')
    await page.keyboard.insertText(text)
    await page.keyboard.press('Escape')
    await page.locator('.sql-bar [role=status]', { hasText: '1 statement, no errors' }).waitFor()
  }

  for (const [device, scheme] of [
    ['desktop', 'dark'],
    ['phone', 'light'],
  ] as const)
    test(`it is paused, looked at, exported and goes on, on the ${device}`, async (t) => {
      const server = await startServer(t, makeProject(t, { 'pipelines/counts.sql': newestSql }))
      await server.post('events', [event('a', '/x', 1), event('b', '/x', 2, 1), event('c', '/y', 4, 2)])
      await untilRows(server, 'counts', [
        ['/x', 2, 3],
        ['/y', 1, 4],
      ])
      const { context, problems } = await watched(browser, device, scheme)
      t.after(() => context.close())
      const page = await open(context, `${server.ready.url}/sql`, '.cm-content')
      const pause = result(page).getByRole('button', { name: 'Pause' })
      const resume = result(page).getByRole('button', { name: 'Resume' })
      await write(page, 'SELECT id, n, ts FROM events')

      // A run to the end has nothing that could be held, and all its rows arrived at once.
      await page.getByRole('button', { name: 'Run', exact: true }).click()
      await untilRowCount(page, 3, 'the rows of a run to the end')
      assert.equal(await pause.count(), 0)
      await choose(page, 'Chart')
      await result(page).locator('.chart').waitFor()
      assert.equal(await page.getByRole('radio', { name: 'By arrival' }).count(), 0)
      await choose(page, 'Rows')

      await page.getByRole('button', { name: 'Live', exact: true }).click()
      await pause.waitFor()
      await untilRowCount(page, 3, 'the rows that were there')
      if (device === 'desktop') await page.keyboard.press('Alt+Shift+KeyP')
      else await pause.tap()
      await resume.waitFor()
      await result(page).getByRole('status').filter({ hasText: 'Paused: what is shown stands still.' }).waitFor({ state: 'attached' })
      await server.post('events', [event('d', '/z', 8, 3), event('e', '/z', 16, 4)])
      await result(page).getByText('2 new changes while paused').waitFor()
      assert.equal(
        await resume.getAttribute('aria-describedby').then((id) => textOf(page.locator(`[id="${id}"]`))),
        '2 new changes while paused',
      )
      assert.equal(await rows(page).count(), 3)
      await shot(page, `live-paused-${device}-${scheme}`)
      const downloading = page.waitForEvent('download')
      await result(page).getByRole('button', { name: 'Export CSV' }).click()
      const csv = readFileSync(await (await downloading).path(), 'utf8')
      assert.deepEqual(
        csv
          .trim()
          .split(/\r?\n/)
          .map((line) => line.split(',')[0]),
        ['id', 'a', 'b', 'c'],
      )
      await choose(page, 'Changes')
      assert.equal(await result(page).locator('.sql-changes tbody tr').count(), 3)

      // Both times of the chart; the address keeps the choice.
      await choose(page, 'Chart')
      const chart = result(page).getByRole('img')
      await until(async () => (await chart.getAttribute('aria-label')) === 'n over ts', 'no chart over event time')
      await page.locator('.segmented label', { hasText: 'By arrival' }).click()
      await until(async () => (await chart.getAttribute('aria-label')) === 'n over when each row changed last', 'no chart over arrival')
      assert.match(page.url(), /[?&]axis=processing/)
      // All three came in one second: one point, their sum.
      await result(page).locator('.chart-key', { hasText: 'n 7' }).waitFor()
      await checkFrame(page, `a paused chart on the ${device}`, scheme)
      await shot(page, `live-chart-${device}-${scheme}`)
      await resume.click()
      // In a second of their own, or in that of the first three.
      await result(page)
        .locator('.chart-key', { hasText: /n (24|31)/ })
        .waitFor()
      await choose(page, 'Rows')
      await untilRowCount(page, 5, 'what came while it was paused')
      assert.equal(await page.getByRole('radio', { name: 'By arrival' }).count(), 0, 'the switch is shown where it means nothing')

      // Stopped while it is paused: the picture stands until one asks for the rest.
      await pause.click()
      await server.post('events', [event('f', '/z', 32, 5)])
      await result(page).getByText('1 new change while paused').waitFor()
      await page.getByRole('button', { name: 'Stop' }).click()
      assert.equal(await rows(page).count(), 5)
      await result(page).getByRole('button', { name: 'Show the rest' }).click()
      await untilRowCount(page, 6, 'the rest')
      assert.equal(await pause.or(resume).count(), 0)

      // A table: what was there before it is looked at has no time of arrival.
      await page.goto(`${server.ready.url}/tables/newest?view=chart&axis=processing`)
      await page.getByText('No row has changed since this page looks at them.').waitFor()
      await server.post('events', [event('g', '/y', 1, 6)])
      await page.getByText('2 rows are not in it: they were there before.').waitFor()
      await page.locator('.segmented label', { hasText: 'By event time' }).click()
      await until(
        async () => (await page.getByRole('img').first().getAttribute('aria-label')) === 'events over ts',
        'no chart of the table',
      )
      assert.doesNotMatch(page.url(), /axis=/)
      await checkFrame(page, `the chart of a table on the ${device}`, scheme)
      await shot(page, `table-chart-${device}-${scheme}`)
      await page.goto(`${server.ready.url}/tables/counts?view=chart`)
      await page.locator('.bar-list li').first().waitFor()
      assert.equal(await page.getByRole('radio', { name: 'By arrival' }).count(), 0, 'a table without a time has the switch')
      assert.deepEqual(problems, [])
    })

  test('the catalog is one stop of the Tab key; a key in quotes is completed with its quotes', async (t) => {
    const server = await startServer(t, makeProject(t, { 'pipelines/counts.sql': countsSql }))
    const { context, problems } = await watched(browser, 'desktop', 'light')
    t.after(() => context.close())
    const page = await open(context, `${server.ready.url}/sql`, '[role=treeitem]')
    const focused = () => page.evaluate('document.activeElement.innerText.replace(/\\s+/g, " ").trim()') as Promise<string>
    const isOpen = (name: string) => page.getByRole('treeitem', { name }).first().getAttribute('aria-expanded')
    await page.locator('.cm-content', { hasText: 'SELECT * FROM counts' }).waitFor()
    await tabTo(page, (text) => /^events\s+table$/.test(text))
    await page.keyboard.press('ArrowDown')
    assert.equal(await focused(), 'counts live')
    await page.keyboard.press('Home')
    await page.keyboard.press('ArrowRight')
    assert.equal(await isOpen('events'), 'true')
    await page.keyboard.press('ArrowRight')
    assert.equal(await focused(), 'id STRING NOT NULL')
    await page.keyboard.press('ArrowLeft')
    assert.equal(await focused(), 'events table')
    await page.keyboard.type('co')
    assert.equal(await focused(), 'counts live')
    await page.keyboard.press('Home')
    await page.keyboard.press('End')
    assert.equal(await focused(), 'counts live')
    await page.keyboard.press('ArrowUp')
    assert.equal(await focused(), 'SELECT * FROM …')
    assert.equal(await page.locator('[role=treeitem][tabindex="0"]').count(), 1)
    await page.keyboard.press('Enter')
    await page.locator('.cm-line', { hasText: 'SELECT * FROM events LIMIT 100;' }).waitFor()

    await page.keyboard.press('Control+A')
    await page.keyboard.type("CREATE TABLE t (a INT) WITH ('conn")
    await page.locator('.cm-tooltip-autocomplete li', { hasText: "'connector'" }).click()
    await until(
      async () => (await textOf(page.locator('.cm-content'))).trim() === "CREATE TABLE t (a INT) WITH ('connector')",
      'the key has not its quotes',
    )
    assert.deepEqual(problems, [])
  })
})
