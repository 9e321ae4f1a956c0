import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bindScript } from './bind.ts'
import { Catalog } from './catalog.ts'
import { settingNotices } from './settings.ts'

const noticeOf = (key: string): string | undefined => settingNotices(new Map([[key, '1']]))[0]

test('settings of Flink without an effect are taken, and said to have none', () => {
  const taken = [
    ['table.exec.mini-batch.enabled', /batches/],
    ['table.optimizer.agg-phase-strategy', /windows and DISTINCT never are/],
    ['table.exec.resource.default-parallelism', /parallelism\.default/],
    ['table.exec.sink.upsert-materialize-strategy.type', /key of the sink/],
    ['execution.checkpointing.unaligned.enabled', /no such setting/],
    ['my.own.key', /no such setting/],
  ] as const
  for (const [key, reason] of taken) {
    assert.equal(bindScript(`SET '${key}' = 'true'`, new Catalog()).length, 1)
    assert.match(noticeOf(key) ?? '', reason, key)
  }
})

test('nothing is said of those that have one', () => {
  const effective = ['table.exec.state.ttl', 'parallelism.default', 'execution.checkpointing.num-retained', 'execution.runtime-mode']
  for (const key of effective) assert.equal(noticeOf(key), undefined, key)
  const same = "SET 'execution.runtime-mode' = 'STREAMING'; SET 'execution.checkpointing.mode' = 'EXACTLY_ONCE'"
  assert.equal(bindScript(same, new Catalog()).length, 2)
})

test('what only begins as settings of Flink do is none', () => {
  for (const key of ['table.', 'table.exec', 'table.exec.mini-batch.'])
    assert.throws(() => bindScript(`SET '${key}' = '1'`, new Catalog()), { code: 'SQL_SETTING_UNKNOWN' }, key)
})
