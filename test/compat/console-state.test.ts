// The state browser in a real browser: from the operators to a key and its rows, by links that can be sent on; and what it says where there is nothing.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Browser } from 'playwright-core'
import { checkFrame, launchBrowser, open, shot, skipWithoutBrowser, textOf, watched } from '../browser.ts'
import { makeProject, startServer, untilRows } from '../harness.ts'

const sql = `
CREATE TABLE orders (id BIGINT, customer STRING, amount DECIMAL(10, 2), ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
  WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json');
CREATE TABLE payments (order_id BIGINT, paid DECIMAL(10, 2)) WITH ('connector' = 'kafka', 'topic' = 'payments', 'format' = 'json');
CREATE TABLE big (id BIGINT, amount DECIMAL(10, 2)) WITH ('connector' = 'kafka', 'topic' = 'big', 'format' = 'json');
SET 'table.exec.state.ttl' = '1 h';
CREATE MATERIALIZED TABLE paid (PRIMARY KEY (customer) NOT ENFORCED) AS
  SELECT o.customer, COUNT(*) AS payments, SUM(p.paid) AS paid FROM orders o JOIN payments p ON o.id = p.order_id GROUP BY o.customer;
RESET 'table.exec.state.ttl';
CREATE MATERIALIZED TABLE minutes (PRIMARY KEY (customer, window_end) NOT ENFORCED) AS
  SELECT customer, window_end, SUM(amount) AS total FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
  GROUP BY customer, window_start, window_end;
INSERT INTO big SELECT id, amount FROM orders WHERE amount > 1000;`

describe('the state browser', { skip: skipWithoutBrowser, timeout: 120_000 }, () => {
  let browser: Browser
  before(async () => {
    browser = await launchBrowser()
  })
  after(() => browser?.close())

  test('operators, keys, a key by its link, and why there is nothing', async (t) => {
    const server = await startServer(t, makeProject(t, { 'pipelines/orders.sql': sql }))
    const { url } = server.ready
    const still = await watched(browser, 'desktop', 'light')
    const empty = await open(still.context, `${url}/queries/paid?tab=state`, 'text=left rows, right rows')
    await empty.getByRole('link', { name: /groupAggregate/ }).click()
    await empty.getByText('Nothing has come to it yet').waitFor()
    await still.context.close()

    const customers = ['ana', 'bo', null]
    await server.post(
      'orders',
      Array.from({ length: 90 }, (_, id) => ({
        id,
        customer: customers[id % 3],
        amount: '2.50',
        ts: `2026-03-01 00:00:${String(10 + (id >> 1)).padStart(2, '0')}.000`,
      })),
    )
    await server.post(
      'payments',
      Array.from({ length: 90 }, (_, id) => ({ order_id: id, paid: '2.50' })),
    )
    await untilRows(
      server,
      'paid',
      [
        ['ana', 30, '75.00'],
        ['bo', 30, '75.00'],
        [null, 30, '75.00'],
      ].map(([customer, count]) => [customer, count, 75]),
    )

    for (const device of ['desktop', 'phone'] as const)
      for (const scheme of ['light', 'dark'] as const) {
        const { context, problems } = await watched(browser, device, scheme)
        const page = await open(context, `${url}/queries/paid?tab=state`, 'text=left rows, right rows')
        assert.match(await textOf(page.locator('.panel')), /of the budget of/)
        await page.getByRole('link', { name: /join/ }).first().click()
        const left = page.getByRole('region', { name: 'left rows' })
        await left.getByText('the first 50 of 90 keys').waitFor()
        assert.match(await textOf(left), /forgotten 1 h after it was last written/)
        assert.match(await textOf(left), /in (59 m|1 h)/)
        await left.getByRole('link', { name: 'The key 7', exact: true }).click()
        await page.waitForURL(/key=/)
        await page.getByText('the first 50').first().waitFor({ state: 'detached' })
        assert.match(await textOf(left), /7[\s\S]*bo/)
        assert.match(await textOf(page.getByRole('region', { name: 'right rows' })), /2\.50/)
        await checkFrame(page, `state-join-${device}`, scheme)
        await left.scrollIntoViewIfNeeded()
        await shot(page, `state-join-${device}-${scheme}`)

        // What was typed, and a NULL that was clicked.
        const groups = page.getByRole('region', { name: 'groups' })
        await page.getByRole('link', { name: /groupAggregate/ }).click()
        await groups.getByText('ana').waitFor()
        await groups.scrollIntoViewIfNeeded()
        await shot(page, `state-groups-${device}-${scheme}`)
        await page.getByLabel('Exact customer').fill('bo')
        await page.getByRole('button', { name: 'Find key' }).click()
        await groups.getByText('ana').waitFor({ state: 'detached' })
        assert.match(await textOf(groups), /bo[\s\S]*30[\s\S]*75\.00/)
        await page.getByRole('button', { name: 'First keys' }).click()
        await groups.getByRole('link', { name: 'The key null' }).click()
        await groups.getByText('ana').waitFor({ state: 'detached' })
        assert.match(await textOf(groups), /NULL[\s\S]*75\.00/)
        // The address alone shows the same.
        const link = page.url()
        await open(context, link, 'text=NULL')
        assert.match(await textOf(groups), /NULL[\s\S]*75\.00/)
        await page.getByLabel('Exact customer').fill('nobody')
        await page.getByLabel('Exact customer').press('Enter')
        await page.getByText('Nothing of this key').waitFor()

        await open(context, `${url}/queries/minutes?tab=state`, 'text=open windows')
        const windows = page.getByRole('region', { name: 'open windows' })
        await windows.getByText('watermark 2026-03-01 00:00:59').first().waitFor()
        assert.match(await textOf(windows), /missing/)
        await checkFrame(page, `state-windows-${device}`, scheme)
        await shot(page, `state-windows-${device}-${scheme}`)
        await open(context, `${url}/queries/insert_into_big?tab=state`, 'text=It remembers nothing')
        await shot(page, `state-none-${device}-${scheme}`)
        assert.deepEqual(problems, [])
        await context.close()
      }
  })
})
