// Figures over time, what needs attention, lineage and saved filters in the console: a real browser over the real process.
import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { checkFrame, launchBrowser, open, shot, skipWithoutBrowser, textOf, watched } from '../browser.ts'
import { countsSql, makeProject, type Server, startServer, until, untilRows } from '../harness.ts'

const sql = `${countsSql}
CREATE MATERIALIZED TABLE never (PRIMARY KEY (id) NOT ENFORCED)
FRESHNESS = INTERVAL '1' SECOND AS
SELECT id, n FROM events WHERE page = '/nowhere';
`
const config = `export default { filters: [{ on: 'messages', subject: 'events', name: 'large ones', where: 'n > 50' }] }`
const event = (id: string, page: string, n: number) => ({ id, page, n, ts: '2026-03-01 00:00:00.000' })

async function start(t: TestContext): Promise<Server> {
  const server = await startServer(t, makeProject(t, { 'pipelines/counts.sql': sql, 'millrace.config.ts': config }))
  await server.post(
    'events',
    Array.from({ length: 90 }, (_, i) => event(`e${i}`, i % 2 === 0 ? '/x' : '/y', i)),
  )
  await untilRows(server, 'counts', [
    ['/x', 45, 1980],
    ['/y', 45, 2025],
  ])
  return server
}

describe('figures, attention, lineage and saved filters', { skip: skipWithoutBrowser, timeout: 120_000 }, () => {
  let browser: Browser
  before(async () => {
    browser = await launchBrowser()
  })
  after(() => browser?.close())
  const button = (page: Page, name: string | RegExp) => page.getByRole('button', { name })

  test('pages on desktop and phone; the range of time is one for all, in the address, and chosen by keys', async (t) => {
    const server = await start(t)
    const { url } = server.ready
    // The first figures are there after two samples.
    await until(async () => {
      const { series } = await server.get<{ series: Record<string, (number | null)[]> }>('/v1/queries/counts/stats/history')
      return series.rowsInPerSecond.some((value) => value !== null)
    }, 'no figures')
    const views = [
      { name: 'observe', path: '/observe', shows: '.chart-canvas canvas' },
      { name: 'lineage', path: '/lineage', shows: '.plan-node' },
      { name: 'topic-lineage', path: '/topics/events/lineage', shows: '.plan-node' },
      { name: 'query-metrics', path: '/queries/counts?tab=metrics', shows: '.chart-canvas canvas' },
      { name: 'query-forecast', path: '/queries/counts?tab=state', shows: '.forecasts li' },
      { name: 'query-parity', path: '/queries/counts?tab=sql', shows: '.facts-table td' },
    ]
    for (const [device, scheme] of [
      ['desktop', 'dark'],
      ['phone', 'light'],
    ] as const) {
      const { context, problems } = await watched(browser, device, scheme)
      for (const { name, path, shows } of views) {
        const page = await open(context, url + path, shows)
        await checkFrame(page, `${name} on the ${device}`, scheme)
        await shot(page, `observe-${name}-${device}-${scheme}`)
      }
      assert.deepEqual(problems, [], `${device}, ${scheme}`)
      await context.close()
    }

    const { context, problems } = await watched(browser, 'desktop', 'light')
    const page = await open(context, `${url}/observe`, '.chart-canvas canvas')
    const range = page.getByRole('combobox', { name: 'Range of time' })
    await range.selectOption('6h')
    await page.waitForURL(/range=6h/)
    await page.getByRole('link', { name: 'Queries' }).first().click()
    await page.waitForURL(/\/queries\?range=6h/)
    await page
      .locator('tr', { hasText: 'counts' })
      .getByRole('link', { name: /differ/ })
      .click()
    await page.waitForURL(/range=6h/)
    await page.getByText("Flink begins to read at the group's offsets").waitFor()
    await page.getByRole('radio', { name: 'Metrics' }).check({ force: true })
    await page.locator('.chart-canvas canvas').first().waitFor()
    assert.match(page.url(), /range=6h/)

    // A range that stands still, from a dialog; Escape changes nothing and gives the focus back.
    await range.selectOption('choose')
    const dialog = page.getByRole('dialog')
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
    assert.equal(await range.inputValue(), '6h')
    await range.selectOption('choose')
    await dialog.getByLabel('From').fill('soon')
    await dialog.getByText('As 2026-03-01 12:00, in UTC.').waitFor()
    assert.ok(await dialog.getByRole('button', { name: 'Show it' }).isDisabled())
    await dialog.getByLabel('From').fill('2020-01-01 10:00')
    await dialog.getByLabel('To').fill('2020-01-01 11:00')
    await page.keyboard.press('Enter')
    await page.waitForURL(/range=2020-01-01T10/)
    await page.getByText('Nothing was measured in this range.').first().waitFor()
    await button(page, 'Later by as much').click()
    await page.waitForURL(/range=2020-01-01T11/)
    await range.selectOption('15m')
    await page.locator('.chart-canvas canvas').first().waitFor()
    assert.doesNotMatch(page.url(), /range/)

    // The way from the topic to the table, by keys.
    await page.goto(`${url}/lineage`)
    await page.locator('.plan-node', { hasText: 'never' }).first().waitFor()
    await page.getByLabel('Show what is connected with').fill('counts')
    await until(async () => (await page.locator('.plan-node').count()) === 3, 'not topic, query and table')
    await page.locator('.react-flow__node', { hasText: 'live table' }).press('Enter')
    await page.waitForURL(/\/tables\/counts/)
    assert.deepEqual(problems, [])
    await context.close()
  })

  test('home says what needs attention, with its cause and next step, and leads there', async (t) => {
    const server = await start(t)
    await server.post('events', [{ page: '/x', n: 1 }])
    // More topics than a browser has connections for: Home follows the largest of them.
    const json = { 'content-type': 'application/json' }
    for (let i = 0; i < 15; i++)
      await server.call('/v1/topics', { method: 'POST', headers: json, body: JSON.stringify({ name: `${'long-'.repeat(48)}${i}` }) })
    const { context, problems } = await watched(browser, 'phone', 'dark')
    const page = await open(context, server.ready.url, '.attention li')
    await page.getByText('from the 12 largest of 16 topics').waitFor()
    const attention = page.getByRole('list', { name: 'Needs attention' })
    // What comes while one looks is told in the line above, until it is asked for.
    await page.getByText('2 things need attention').waitFor()
    const more = page.getByRole('button', { name: /^Show \d new$/ })
    if (await more.isVisible()) await more.click()
    await attention.getByText('Refused for events: 1 event, by required at id').waitFor()
    await attention.getByText(/never: The condition .* let none of 90 rows through/).waitFor()
    await checkFrame(page, 'attention on the phone', 'dark')
    await shot(page, 'home-attention-phone-dark')
    // What comes next for who is here for the first time, until it is put away.
    await page.getByText('3 of 5 done').waitFor()
    await button(page, 'Put away').click()
    await page.getByText('3 of 5 done').waitFor({ state: 'detached' })
    await attention.getByRole('link', { name: 'events.invalid' }).click()
    await page.locator('.letters li').first().waitFor()

    // Dead letters through a filter in SQL, by name.
    const where = page.getByRole('combobox', { name: 'WHERE' })
    await where.fill("_headers['rule'] = 'type'")
    await page.keyboard.press('Enter')
    await page.getByText('None passes the filter').waitFor()
    await where.fill("_headers['rule'] = 'required'")
    await page.keyboard.press('Enter')
    await page.getByText('1 of 1 pass the filter').waitFor()
    await button(page, 'Save filter…').click()
    await page.getByRole('dialog').getByLabel('Name').fill('missing')
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await checkFrame(page, 'dead letters on the phone', 'dark')
    assert.equal(await page.getByLabel('Saved filters').inputValue(), 'missing')
    assert.deepEqual(problems, [])
    await context.close()
  })

  test('a filter of the project is offered; one is saved, applies by itself, is cleared, deleted, and comes back', async (t) => {
    const server = await start(t)
    const { url } = server.ready
    const { context, problems } = await watched(browser, 'desktop', 'dark')
    const page = await open(context, `${url}/topics/events/messages?from=oldest`, '.message-line')
    const saved = page.getByLabel('Saved filters')
    await saved.selectOption('large ones')
    await page.getByText(/39 found/).waitFor()
    await page.getByRole('combobox', { name: 'WHERE' }).fill("n < 10 AND page = '/x'")
    await page.keyboard.press('Enter')
    await page.getByText(/ 5 found/).waitFor()
    await button(page, 'Save filter…').click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('small ones')
    await dialog.getByLabel('Apply it by itself').check()
    await shot(page, 'filter-save-desktop-dark')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await dialog.waitFor({ state: 'detached' })

    await page.goto(`${url}/topics/events/messages?from=oldest`)
    await page.getByText(/ 5 found/).waitFor()
    await button(page, 'Clear WHERE').click()
    await page.getByText(/ 90 found/).waitFor()
    await page.reload()
    await page.getByText(/ 90 found/).waitFor()
    await saved.selectOption('small ones')
    await page.getByText(/ 5 found/).waitFor()
    await button(page, 'Delete the filter small ones').click()
    await page.getByText('small ones is deleted.').waitFor()
    assert.equal(await saved.locator('option').count(), 2)
    await button(page, 'Undo').click()
    await until(async () => (await saved.inputValue()) === 'small ones', 'the filter is not back')
    await checkFrame(page, 'messages with a filter', 'dark')
    assert.match(await textOf(saved), /large ones \(of the project\)/)
    assert.deepEqual(problems, [])
    await context.close()
  })
})
