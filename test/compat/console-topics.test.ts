// Topics and consumer groups in the console: a real browser over the real process, with a Kafka client beside it.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { Consumer, stringDeserializers } from '@platformatic/kafka'
import type { Browser, Page } from 'playwright-core'
import { checkFrame, launchBrowser, open, shot, skipWithoutBrowser, tabTo, textOf, watched } from '../browser.ts'
import { makeProject, type Ready, run, Server, until } from '../harness.ts'

const projectSql = `
CREATE TABLE orders (
  id     STRING NOT NULL,
  amount DECIMAL(10, 2),
  city   STRING,
  items  INT,
  ts     TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'kafka', 'topic' = 'orders', 'format' = 'json', 'millrace.partitions' = '3', 'key.fields' = 'id');

CREATE MATERIALIZED TABLE by_city (PRIMARY KEY (city) NOT ENFORCED) AS
SELECT city, COUNT(*) AS orders, SUM(amount) AS amount FROM orders GROUP BY city;
`
const cities = ['Bern', 'Genf', 'Basel', 'Chur', 'Zug']
const startMs = Date.UTC(2026, 2, 1, 12)

/** Order i; every 25th comes three seconds late, every 40th a minute. */
function order(i: number) {
  const lateMs = i % 40 === 39 ? 60_000 : i % 25 === 24 ? 3_000 : 0
  const ts = new Date(startMs + i * 250 - lateMs).toISOString().slice(0, 23).replace('T', ' ')
  return {
    id: `o-${i % 700}`,
    amount: Math.round((5 + ((i * 37) % 900) / 7) * 100) / 100,
    city: i % 9 === 0 ? null : cities[i % 5],
    items: 1 + (i % 4),
    ts,
  }
}

async function start(t: TestContext, sql = projectSql): Promise<{ server: Server; kafkaPort: number }> {
  const folder = makeProject(t, { 'pipelines/orders.sql': sql })
  const running = run(t, ['start', folder, '--port', '0', '--kafka-port', '0', '--workers', '1', '--json', '--data', join(folder, 'data')])
  const server = new Server(running, await running.firstLine<Ready>())
  return { server, kafkaPort: (server.ready as Ready & { kafkaPort: number }).kafkaPort }
}
const send = (server: Server, topic: string, messages: { value: string; key?: string; partition?: number }[]) =>
  server.call(`/v1/topics/${topic}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages }),
  })
const badEvents = [
  { id: 'o-1', amount: 'many', city: 'Bern' },
  { amount: 4.5, city: 'Zug' },
  { id: 'o-3', amount: 12, items: 3_000_000_000 },
  { id: 'o-4', amount: 'a lot', city: 'Chur' },
]

/** A consumer that has read and committed everything, and stays. */
async function consume(t: TestContext, kafkaPort: number, groupId: string, count: number) {
  const consumer = new Consumer({
    clientId: 'biller',
    groupId,
    bootstrapBrokers: [`127.0.0.1:${kafkaPort}`],
    deserializers: stringDeserializers,
  })
  const stream = await consumer.consume({
    topics: ['orders'],
    mode: 'committed',
    fallbackMode: 'earliest',
    autocommit: false,
    maxWaitTime: 100,
  })
  let isOpen = true
  const stop = async () => {
    if (!isOpen) return
    isOpen = false
    await stream.close()
    await consumer.close(true)
  }
  t.after(stop)
  let seen = 0
  for await (const message of stream) {
    // A commit each time is slow, and the last ones of each partition count.
    if (++seen % 50 === 0 || count < 1_000) await message.commit()
    if (seen === count) break
  }
  return stop
}

describe('topics and consumer groups in the console', { skip: skipWithoutBrowser, timeout: 180_000 }, () => {
  let browser: Browser

  before(async () => {
    browser = await launchBrowser()
  })
  after(() => browser?.close())

  const factOf = (label: string) => `.fact-line div:has(dt:text-is("${label}")) dd`
  const countOf = async (page: Page, label: string): Promise<number> =>
    Number((await textOf(page.locator(factOf(label)))).replace(/\D/g, ''))
  const button = (page: Page, name: string | RegExp) => page.getByRole('button', { name })

  test('every page, on desktop and phone, light and dark: no errors, no violations, nothing scrolls sideways', async (t) => {
    const { server, kafkaPort } = await start(t)
    const { url } = server.ready
    for (let i = 0; i < 4_000; i += 1_000)
      await server.post(
        'orders',
        Array.from({ length: 1_000 }, (_, k) => order(i + k)),
      )
    await server.post('orders', badEvents)
    await consume(t, kafkaPort, 'billing', 4_000)
    await send(
      server,
      'orders',
      Array.from({ length: 37 }, (_, i) => ({ value: JSON.stringify(order(i)), partition: i % 2 })),
    )
    const views: { name: string; path: string; shows: string }[] = [
      { name: 'topics', path: '/topics', shows: 'td.name a' },
      { name: 'messages', path: '/topics/orders', shows: '.message-line' },
      {
        name: 'filtered',
        path: '/topics/orders/messages?from=newest&where=amount%20%3E%20120%20AND%20city%20%3D%20%27Zug%27',
        shows: '.message-line',
      },
      {
        name: 'wrong',
        path: '/topics/orders/messages?from=newest&where=amount%20%3E%20120%20AND%20town%20%3D%20%27Zug%27',
        shows: '.sql-error',
      },
      { name: 'fields', path: '/topics/orders/messages?from=oldest&view=table', shows: '.grid-body [role=row]' },
      { name: 'partitions', path: '/topics/orders/partitions', shows: '.list td' },
      { name: 'consumers', path: '/topics/orders/consumers', shows: '.list td' },
      { name: 'settings', path: '/topics/orders/settings', shows: '.settings td' },
      { name: 'statistics', path: '/topics/orders/statistics', shows: '.bars' },
      { name: 'letters', path: '/topics/orders/letters', shows: '.letters li' },
      { name: 'groups', path: '/groups', shows: 'td.name a' },
      { name: 'group', path: '/groups/billing', shows: '.list td' },
    ]
    for (const device of ['desktop', 'phone'] as const)
      for (const scheme of ['light', 'dark'] as const) {
        const { context, problems } = await watched(browser, device, scheme)
        for (const { name, path, shows } of views) {
          const page = await open(context, url + path, shows)
          await checkFrame(page, `${name} on the ${device}`, scheme)
          await shot(page, `topics-${name}-${device}-${scheme}`)
        }
        // Dialogs are pages of their own to whoever looks at them.
        const dialogs: [name: string, path: string, press: string | RegExp][] = [
          ['create', '/topics', 'New topic…'],
          ['send', '/topics/orders', 'Send…'],
          ['export', '/topics/orders', 'Export…'],
          ['alter', '/topics/orders/settings', 'Change…'],
          ['delete', '/topics/orders/settings', 'Delete topic…'],
          ['mend', '/topics/orders/letters', 'Mend…'],
          ['reset', '/groups/billing', 'Reset offsets…'],
        ]
        for (const [name, path, press] of dialogs) {
          const page = await open(context, url + path, 'h1')
          await button(page, press).first().click()
          await page.getByRole('dialog').waitFor()
          if (name === 'reset') {
            await button(page, 'Show what would change').click()
            await page.locator('.plan td').first().waitFor()
          }
          if (name === 'mend') await page.locator('.answer.is-bad').waitFor()
          await checkFrame(page, `dialog ${name} on the ${device}`, scheme)
          await shot(page, `topics-dialog-${name}-${device}-${scheme}`)
        }
        // A filter that is wrong is answered with 400, which a browser reports as an error of the page.
        assert.deepEqual(
          problems.filter((text) => !/status of 400/.test(text)),
          [],
          `${device}, ${scheme}`,
        )
        await context.close()
      }
  })

  test('a topic is made, filled, filtered, exported, changed and deleted, by keyboard where it matters', async (t) => {
    const { server } = await start(t)
    const { url } = server.ready
    const { context, problems } = await watched(browser, 'desktop', 'light')
    let page = await open(context, `${url}/topics`, 'td.name a')

    // Made with keys alone.
    await tabTo(page, (text) => text === 'New topic…')
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await page.getByLabel('Name').fill('orders')
    await page.getByText('There is a topic of this name.').waitFor()
    await page.getByLabel('Name').fill('returns')
    await page.getByLabel('Partitions').fill('2')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/topics\/returns$/)
    await until(async () => (await countOf(page, 'Partitions')) === 2, 'a topic of two partitions')

    // A record goes out of a dialog and comes in live.
    await page.getByText('No record yet').waitFor()
    await button(page, 'Send…').click()
    await page.getByLabel('Value', { exact: true }).fill('{"n":9007199254740993}')
    await page.getByLabel('Key', { exact: true }).fill('k1')
    await page.getByLabel('Headers').fill('source: browser')
    await page.keyboard.press('Tab')
    await button(page, 'Send').last().click()
    await page.getByText(/Stored at \d\/0\./).waitFor()
    await page.keyboard.press('Escape')
    await page.locator('.message-line').first().waitFor()
    await page.mouse.move(5, 5)
    await page.locator('.message-line').first().click()
    assert.match(await textOf(page.locator('.message-detail')), /9007199254740993[\s\S]*|Header source/)
    // And again, changed.
    await button(page, 'Send again…').click()
    await page.getByLabel('Value', { exact: true }).fill('{"n":2}')
    await button(page, 'Send').last().click()
    await page.getByText(/Stored at/).waitFor()
    await page.keyboard.press('Escape')
    const { messages } = await server.get<{ messages: { key: string; headers: Record<string, string> }[] }>('/v1/topics/returns/messages')
    assert.deepEqual(
      messages.map(({ key, headers }) => [key, headers.source]),
      [
        ['k1', 'browser'],
        ['k1', 'browser'],
      ],
    )

    // A live list that is stopped keeps its rows; what came goes on top.
    await page.reload()
    await page.locator('.message-line').nth(1).waitFor()
    await button(page, 'Pause').click()
    const held = await textOf(page.locator('.messages'))
    await send(server, 'returns', [{ value: '{"n":3}' }, { value: '{"n":4}' }])
    await page.getByText('2 new records while paused').waitFor()
    assert.equal(await textOf(page.locator('.messages')), held)
    await button(page, 'Resume').click()
    await until(async () => (await page.locator('.message-line').count()) === 4, 'the new ones show')
    assert.match(await textOf(page.locator('.message-line')), /"n":[34]/)

    // A filter in SQL: in the address, over all partitions, with progress; a wrong one is marked where it is wrong.
    await server.post(
      'orders',
      Array.from({ length: 3_000 }, (_, i) => order(i)),
    )
    page = await open(context, `${url}/topics/orders/messages?from=oldest`, '.message-line')
    await page.getByRole('combobox', { name: 'WHERE' }).fill("items = 4 AND city = 'Chur'")
    await page.keyboard.press('Enter')
    await page.waitForURL(/where=/)
    const expected = Array.from({ length: 3_000 }, (_, i) => order(i)).filter(({ items, city }) => items === 4 && city === 'Chur').length
    await page.getByText(new RegExp(`scanned 3,000 of 3,000, ${expected} found`)).waitFor()
    await page.reload()
    await page.getByText(new RegExp(`${expected} found`)).waitFor()
    await page.getByRole('combobox', { name: 'WHERE' }).fill('itemz = 4')
    await page.keyboard.press('Enter')
    await page.locator('.sql-error mark').waitFor()
    assert.match(await textOf(page.locator('.sql-error')), /itemz[\s\S]*Did you mean "items"/)
    assert.equal(await textOf(page.locator('.sql-error mark')), 'itemz')
    await page.getByRole('combobox', { name: 'WHERE' }).fill('items = 4')
    await page.keyboard.press('Enter')
    await page.getByText(/scanned .* 200 found/).waitFor()
    await button(page, 'More').click()
    await page.getByText(/scanned .* 400 found/).waitFor()

    // As a table of chosen fields.
    await page.getByRole('radio', { name: 'Table of fields' }).check({ force: true })
    await page.locator('.grid-body [role=row]').first().waitFor()
    await page.locator('.chooser summary').click()
    await page.locator('.chooser').getByLabel('ts').uncheck()
    await page.waitForURL(/fields=/)
    const heads = (await page.getByRole('columnheader').allInnerTexts()).map((text) => text.trim())
    assert.deepEqual(heads, ['arrived', 'partition', 'offset', 'key', 'id', 'amount', 'city', 'items'])
    await page.locator('.chooser summary').click()
    await page.locator('.grid-body [role=row]').first().press('Enter')
    await page.getByRole('dialog').getByText('Header trace_id').waitFor()
    await page.keyboard.press('Escape')

    // What is shown is what is exported.
    await button(page, 'Export…').click()
    await page.getByRole('radio', { name: 'CSV' }).check({ force: true })
    await page.getByLabel('Columns').fill('id, amount')
    const [download] = await Promise.all([page.waitForEvent('download'), button(page, 'Save file').click()])
    const lines = readFileSync(await download.path(), 'utf8')
      .trim()
      .split('\r\n')
    assert.deepEqual([lines[0], lines.length], ['id,amount', 1 + 750])

    // Statistics are those of the topic.
    page = await open(context, `${url}/topics/orders/statistics`, '.bars')
    assert.equal(await countOf(page, 'Different keys'), 700)
    assert.match(await textOf(page.locator('.panel:has(h2:text-is("NULL in columns"))')), /city\s+STRING\s+11 %/)
    assert.match(await textOf(page.locator('.panel:has(h2:text-is("Lateness of ts"))')), /came behind the declared watermark/)

    // Settings: changed, set back, and the topic's end, which needs its name.
    page = await open(context, `${url}/topics/returns/settings`, '.settings td')
    await button(page, 'Change…').click()
    await page.getByLabel('retention.ms', { exact: true }).fill('3600000')
    await page.getByText(/^1 h\. Records older/).waitFor()
    await button(page, 'Save 1 change').click()
    await page
      .locator('.settings tr', { hasText: /^retention\.ms/ })
      .getByText('changed')
      .waitFor()
    await button(page, 'Change…').click()
    await page.getByLabel('retention.ms', { exact: true }).fill('soon')
    await button(page, 'Save 1 change').click()
    await page.getByText('LOG_TOPIC_CONFIG_INVALID').waitFor()
    await page.keyboard.press('Escape')
    await button(page, 'Delete topic…').click()
    assert.ok(await button(page, 'Delete for good').isDisabled())
    await page.getByLabel('Type its name to go on').fill('returns')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/topics$/)
    await until(async () => (await page.getByRole('link', { name: 'returns' }).count()) === 0, 'the topic is gone from the list')
    page = await open(context, `${url}/topics/orders/settings`, '.settings td')
    await button(page, 'Delete topic…').click()
    await page.getByLabel('Type its name to go on').fill('orders')
    await button(page, 'Delete for good').click()
    await page.getByText('declared by table "orders" and used by query "by_city"').waitFor()
    await page.keyboard.press('Escape')
    assert.deepEqual(
      problems.filter((text) => !/status of (400|409)/.test(text)),
      [],
    )
    await context.close()
  })

  test('events of a CSV topic are sent, refused and mended as CSV', async (t) => {
    const { server } = await start(
      t,
      `CREATE TABLE stock (item STRING NOT NULL, pieces INT) WITH ('connector' = 'kafka', 'format' = 'csv');`,
    )
    await server.post('stock', 'pot,many\n', { 'content-type': 'text/csv' })
    const { context, problems } = await watched(browser, 'phone', 'dark')
    const page = await open(context, `${server.ready.url}/topics/stock`, '.fact-line')
    await page.getByText("content-type: text/csv' --data-binary").waitFor()
    await button(page, 'Send…').click()
    await page.getByText('CSV, a record a line: item, pieces').waitFor()
    await page.getByLabel('Value', { exact: true }).fill('tea,12')
    await button(page, 'Check').click()
    await page.getByText('The front door would take it.').waitFor()
    await shot(page, 'produce-csv-phone-dark')
    await button(page, 'Send').last().click()
    await page.getByText('Stored at 0/0.').waitFor()
    await page.getByLabel('Value', { exact: true }).fill('cup,few')
    await button(page, /^Send/).last().click()
    await page.getByText("pieces: 'few' is not INT").waitFor()

    await open(context, `${server.ready.url}/topics/stock.invalid`, '.letters li')
    await page.getByRole('button', { name: 'Mend…' }).last().click()
    assert.equal(await page.getByLabel('The event as it should be').inputValue(), 'pot,many')
    await page.getByLabel('The event as it should be').fill('pot,20')
    await page.getByText('The front door would take it.').waitFor()
    await button(page, 'Send it again').click()
    await page.getByText('1 to mend, 1 sent again').waitFor()
    assert.deepEqual(
      (await server.messages('stock')).map(({ value }) => value),
      ['tea,12', 'pot,20'],
    )
    assert.deepEqual(
      problems.filter((text) => !text.includes('status of 422')),
      [],
    )
    await context.close()
  })

  test('a refused event is mended: edited, checked as one types, sent again, and done', async (t) => {
    const { server } = await start(t)
    await server.post('orders', badEvents)
    const { context, problems } = await watched(browser, 'desktop', 'light')
    const page = await open(context, `${server.ready.url}/topics/orders.invalid`, '.letters li')
    const groups = await page.locator('.letters h2').allInnerTexts()
    assert.deepEqual(new Set(groups), new Set(['type: amount', 'required: id', 'range: items']))
    await page.getByText('4 to mend').waitFor()
    const panel = page.locator('.panel', { has: page.locator('h2:text-is("required: id")') })
    await panel.getByRole('button', { name: 'Mend…' }).click()
    await page
      .locator('.answer.is-bad')
      .getByText(/required id/)
      .waitFor()
    assert.ok(await button(page, 'Send it again').isDisabled())
    await page.getByLabel('The event as it should be').fill('{"id":"o-2","amount":4.5,"city":"Zug","ts":"2026-03-01 12:00:00"}')
    await page.getByText('The front door would take it.').waitFor()
    await button(page, 'Send it again').click()
    await page.getByText('3 to mend, 1 sent again').waitFor()
    assert.equal(await panel.count(), 0)
    await until(async () => (await server.rows('by_city')).map(([city]) => city).join() === 'Zug', 'the row is not in the table')
    await page.getByLabel('Show those sent again').check()
    await panel.getByText('sent again').waitFor()
    assert.deepEqual(problems, [])
    await context.close()
  })

  test('a group that reads cannot be reset; one that does not is, after a look at what would change', async (t) => {
    const { server, kafkaPort } = await start(t)
    await server.post(
      'orders',
      Array.from({ length: 300 }, (_, i) => order(i)),
    )
    const stop = await consume(t, kafkaPort, 'billing', 300)
    const { context, problems } = await watched(browser, 'desktop', 'light')
    const page = await open(context, `${server.ready.url}/groups`, 'td.name a')
    await page.getByRole('link', { name: 'billing' }).click()
    await page.getByText('biller').first().waitFor()
    await send(
      server,
      'orders',
      Array.from({ length: 9 }, (_, i) => ({ value: JSON.stringify(order(i)), partition: 1 })),
    )
    await until(async () => (await countOf(page, 'Behind')) === 9, 'the group is 9 records behind')
    await until(async () => /\d s/.test(await textOf(page.locator(factOf('For')))), 'and for some seconds')

    await button(page, 'Reset offsets…').click()
    await button(page, 'Show what would change').click()
    await page.getByText('A dry run: nothing is changed yet.').waitFor()
    await page.getByText('The group has 1 member: stop its consumers, then apply.').waitFor()
    assert.ok(await button(page, /Apply to/).isDisabled())
    await stop()
    await until(async () => !(await button(page, /Apply to/).isDisabled()), 'the group has no members')
    await page.getByRole('radio', { name: 'Shift' }).check({ force: true })
    await page.getByLabel('Records', { exact: true }).fill('-10')
    await button(page, 'Show what would change').click()
    await page.getByText('reads 10 again').first().waitFor()
    await button(page, 'Apply to 3 partitions').click()
    await page.getByText('Applied: its next member goes on there.').waitFor()
    await button(page, 'Done').click()
    await until(async () => (await countOf(page, 'Behind')) === 39, 'the group is 39 records behind')
    await button(page, 'Delete…').click()
    await button(page, 'Delete').last().click()
    await page.waitForURL(/\/groups$/)
    await page.getByText('No consumer group yet').waitFor()
    assert.deepEqual(
      problems.filter((text) => !/status of 40[49]/.test(text)),
      [],
    )
    await context.close()
  })
})
