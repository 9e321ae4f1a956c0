import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import type { Broker, RequestContext } from '../broker.ts'
import { ERROR } from '../errors.ts'
import { FetchSessions } from './fetchSessions.ts'

type Request = Parameters<FetchSessions['open']>[0]

test('a connection that begins a session with each fetch leaves nothing but them, and they end with it', () => {
  const sessions = new FetchSessions({ limits: { fetchSessions: 100 } } as Broker)
  const [one, other] = [new AbortController(), new AbortController()]
  const topics = [{ topic: 't', topicId: '', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1, currentLeaderEpoch: -1 }] }]
  const open = ({ signal }: AbortController, sessionId: number, sessionEpoch: number) =>
    sessions.open({ sessionId, sessionEpoch, topics, forgottenTopicsData: [] } as unknown as Request, { signal } as RequestContext)
  const begin = (connection: AbortController) => (open(connection, 0, 0) as { id: number }).id
  const ids = Array.from({ length: 20 }, () => begin(one))
  const kept = begin(other)
  assert.equal(getEventListeners(one.signal, 'abort').length, 1)
  assert.ok(ids.every((id) => 'wanted' in open(one, id, 1)))
  one.abort()
  assert.ok(ids.every((id) => (open(one, id, 2) as { errorCode: number }).errorCode === ERROR.FETCH_SESSION_ID_NOT_FOUND))
  assert.ok('wanted' in open(other, kept, 1))
})
