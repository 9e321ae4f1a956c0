// The page of a query in a real browser: what it is set to, with sources; its actions, with the reason where one cannot be taken; who did what.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Browser } from 'playwright-core'
import { createToken, TokenStore } from '../../src/base/index.ts'
import type { SavepointInfo } from '../../src/serve/contract.ts'
import { checkFrame, launchBrowser, open, shot, skipWithoutBrowser, textOf, watched } from '../browser.ts'
import { makeProject, startServer, until, untilRows } from '../harness.ts'

const sql = `SET 'table.exec.state.ttl' = '1 d';
SET 'execution.checkpointing.interval' = '300 ms';
SET 'table.exec.mini-batch.enabled' = 'true';
CREATE TABLE orders (customer STRING NOT NULL, amount INT) WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json');
ALTER TABLE orders SET ('millrace.on-error' = 'fail');
CREATE VIEW big AS SELECT customer, amount FROM orders WHERE amount > 10;
CREATE MATERIALIZED TABLE totals AS
SELECT UPPER(customer) AS customer, SUM(amount) AS total FROM big /*+ OPTIONS('scan.startup.mode' = 'earliest-offset') */ GROUP BY UPPER(customer);
CREATE MATERIALIZED TABLE all_orders AS SELECT COUNT(*) AS n FROM orders;
`

describe('what a query is, in the console', { skip: skipWithoutBrowser, timeout: 120_000 }, () => {
  let browser: Browser
  before(async () => {
    browser = await launchBrowser()
  })
  after(() => browser?.close())

  test('its text, what it uses and its settings with their sources, on desktop and phone, light and dark', async (t) => {
    const server = await startServer(t, makeProject(t, { 'pipelines/orders.sql': sql }))
    const { url } = server.ready
    for (const device of ['desktop', 'phone'] as const)
      for (const scheme of ['light', 'dark'] as const) {
        const { context, problems } = await watched(browser, device, scheme)
        const page = await open(context, `${url}/queries/totals?tab=sql`, '.facts-table td')
        const row = (name: string) => page.locator('.facts-table tr', { has: page.locator(`code:text-is("${name}")`) })
        assert.match(await textOf(page.locator('.code.sql')), /^CREATE MATERIALIZED TABLE totals/)
        assert.match(
          await textOf(row('table.exec.state.ttl')),
          /1 d[\s\S]*0[\s\S]*SET pipelines\/orders.sql:1:1[\s\S]*computes the table anew/,
        )
        assert.match(await textOf(row('table.exec.mini-batch.enabled')), /no effect here: rows are always taken in batches/)
        assert.match(
          await textOf(row('millrace.on-error')),
          /orders[\s\S]*fail[\s\S]*dead-letter[\s\S]*ALTER TABLE pipelines\/orders.sql:5:25/,
        )
        const all = await page.locator('.facts-table tbody tr').count()
        await page.getByRole('radio', { name: /^Changed/ }).check()
        await until(async () => (await page.locator('.facts-table tbody tr').count()) < all, 'the defaults are still shown')
        assert.equal(await row('parallelism.default').count(), 0)
        const view = page.locator('details', { has: page.locator('summary', { hasText: 'big' }) })
        await view.locator('summary').click()
        await view.getByText('CREATE VIEW').waitFor()
        await checkFrame(page, 'definition', scheme)
        await row('millrace.on-error').scrollIntoViewIfNeeded()
        await shot(page, `definition-${device}-${scheme}`)
        await page.goto(`${url}/queries/totals?tab=sql`)
        await page.locator('.facts-table td').first().waitFor()
        await shot(page, `definition-top-${device}-${scheme}`)
        await page.getByRole('link', { name: 'pipelines/orders.sql:7:1' }).click()
        await page.waitForURL(/\/sql\?file=orders.sql/)
        assert.deepEqual(problems, [], `${device}, ${scheme}`)
        await context.close()
      }
  })

  test('actions say what they do; what cannot be done says why', async (t) => {
    const folder = makeProject(t, { 'pipelines/orders.sql': sql })
    const server = await startServer(t, folder)
    const { url } = server.ready
    await server.post('orders', [{ customer: 'ana', amount: 20 }])
    await untilRows(server, 'totals', [['ANA', 20]])
    const { context, problems } = await watched(browser, 'desktop', 'light')
    let page = await open(context, `${url}/queries/all_orders`, '.why')
    const rescale = page.getByRole('button', { name: 'Rescale…' })
    await until(() => rescale.isDisabled(), 'a query whose rows meet in one place can be rescaled')
    assert.match((await rescale.getAttribute('title')) ?? '', /^It runs in one thread: all rows meet in one place/)

    page = await open(context, `${url}/queries/totals`, '.why')
    assert.equal(await page.getByRole('button', { name: 'Rescale…' }).isEnabled(), true)
    await page.getByRole('button', { name: 'Begin anew…' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText(/Its state and rows are dropped/).waitFor()
    await dialog.getByText(/of state, from 1 rows in; it has put out 1/).waitFor()
    await dialog.getByLabel('Savepoint before it').fill('before-anew')
    await shot(page, 'query-anew-desktop-light')
    await dialog.getByRole('button', { name: 'Begin without state' }).click()
    await dialog.waitFor({ state: 'detached' })
    assert.deepEqual(
      (await server.get<SavepointInfo[]>('/v1/savepoints')).map(({ name }) => name),
      ['before-anew'],
    )
    await untilRows(server, 'totals', [['ANA', 20]])
    assert.match(await textOf(page.locator('.fact-line div:has(dt:text-is("Deployed")) dd')), /^the start of the process, /)
    await page.goto(`${url}/queries/totals?tab=history`)
    const newest = page.locator('.facts-table tbody tr').first()
    await until(async () => /started\s+anonymous, from 127.0.0.1/.test(await textOf(newest)), 'who began it anew is not in the history')
    await shot(page, 'query-history-desktop-light')
    await page.getByRole('link', { name: 'Crash test' }).click()
    await page.waitForURL(/tab=checkpoints/)
    assert.deepEqual(problems, [])
    await context.close()
  })

  test('somebody who may only read sees every action, with the reason why it cannot be taken', async (t) => {
    const folder = makeProject(t, { 'pipelines/orders.sql': sql })
    const data = join(folder, 'data')
    const { token } = createToken(new TokenStore(join(data, 'auth', 'tokens.json')), { role: 'reader', name: 'wall' })
    const server = await startServer(t, folder, ['--host', '0.0.0.0', '--data', data])
    const { context } = await watched(browser, 'phone', 'dark')
    const page = await open(context, `http://127.0.0.1:${server.ready.port}/queries/totals?tab=sql`, '#token')
    await page.locator('#token').fill(token)
    await page.keyboard.press('Enter')
    await page.locator('.facts-table td').first().waitFor()
    for (const name of ['Stop…', 'Rescale…', 'Begin anew…']) {
      const button = page.getByRole('button', { name })
      await until(() => button.isDisabled(), `a reader may ${name}`)
      assert.equal(await button.getAttribute('title'), 'Needs a token of role admin; this one is reader.')
    }
    await context.close()
  })
})
