import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { readableLine } from './logLines.ts'

test('a line of the log as people read it: when, how bad, what, and the next step', () => {
  const lines: string[] = []
  const logger = pino({ level: 'info', timestamp: () => ',"time":1767225600000' }, { write: (line) => lines.push(readableLine(line)) })
  const error = { code: 'CAST_FAILED', message: '"x" is no INT', hint: 'Use TRY_CAST.', params: {} }
  logger.error({ query: 'totals', error }, 'query totals failed: "x" is no INT')
  logger.warn({ topic: 'a' }, 'rows were not kept\u001b[2J')
  logger.info({ audit: 'topic deleted', by: { id: '1', name: 'ana', role: 'admin' }, from: '127.0.0.1', request: 'r-1', topic: 'orders' })
  logger.error(
    { code: 'HTTP_INTERNAL', requestId: 'r-2', err: Object.assign(new Error('x'), { stack: 'Error: x\n    at y' }) },
    'request failed',
  )
  assert.deepEqual(lines, [
    '00:00:00 error: query totals failed: "x" is no INT [CAST_FAILED]\n  Use TRY_CAST.',
    '00:00:00 warning: rows were not kept\\u001b[2J',
    '00:00:00 audit: topic deleted by ana: from 127.0.0.1, topic orders',
    '00:00:00 error: request failed\n  Error: x\n      at y',
  ])
})
