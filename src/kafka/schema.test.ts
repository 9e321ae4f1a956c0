import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { StreamError } from '../base/index.ts'
import { apiVersionsApi } from './messages/apiVersions.ts'
import { fetchApi } from './messages/fetch.ts'
import { metadataApi } from './messages/metadata.ts'
import { produceApi } from './messages/produce.ts'
import { array, codecs, decodeMessage, encodeMessage, int32, string, struct } from './schema.ts'
import { requestFrame } from './testClient.ts'
import { apis, messageOf } from './testMessages.ts'
import { WireReader } from './wire.ts'

/** What was given, of all that came back. */
function project(back: unknown, given: unknown): unknown {
  if (given instanceof Uint8Array) return Uint8Array.from(back as Uint8Array)
  if (Array.isArray(given)) return given.map((one, i) => project((back as unknown[])[i], one))
  if (typeof given !== 'object' || given === null) return back
  return Object.fromEntries(Object.entries(given).map(([name, one]) => [name, project((back as Record<string, unknown>)[name], one)]))
}

test('every message in every version comes back as it was', () => {
  assert.ok(apis.length >= 30)
  for (const api of apis) {
    for (let version = api.versions[0]; version <= api.versions[1]; version++) {
      for (const side of ['request', 'response'] as const) {
        const codec = api[side](version)
        fc.assert(
          fc.property(messageOf(api.fields[side], version), (message) => {
            const back = decodeMessage(codec, encodeMessage(codec, message as never))
            assert.deepEqual(project(back, message), message, `${api.name} ${side} ${version}`)
          }),
          { numRuns: 12 },
        )
      }
    }
  }
})

test('cut or random bytes are a typed error or a message, and allocate nothing for what is not there', () => {
  const anyApi = fc.constantFrom(...apis)
  fc.assert(
    fc.property(anyApi, fc.nat(20), fc.uint8Array({ maxLength: 200 }), fc.nat(), ({ versions, request }, pick, noise, seed) => {
      const codec = request(versions[0] + (pick % (versions[1] - versions[0] + 1)))
      const good = encodeMessage(codec, {} as never)
      for (const bytes of [noise, good.subarray(0, seed % (good.length + 1)), Buffer.concat([good, noise])]) {
        try {
          decodeMessage(codec, bytes)
        } catch (error) {
          assert.ok(error instanceof StreamError && error.code === 'KAFKA_REQUEST_INVALID', String(error))
        }
      }
    }),
    { numRuns: 3_000 },
  )
})

// Written by hand from the protocol guide: requests as a client sends them.
const golden: [name: string, frame: string, expected: string][] = [
  [
    'ApiVersions 0',
    // length | key 18 | version 0 | correlation 7 | client "test"
    '0000000e 0012 0000 00000007 0004 74657374',
    hex(requestFrame(apiVersionsApi, 0, 7, {})),
  ],
  [
    'ApiVersions 3',
    // … | no tags of the header | compact "kcat" | compact "1.7" | no tags
    '00000019 0012 0003 00000001 0004 74657374 00 05 6b636174 04 312e37 00',
    hex(requestFrame(apiVersionsApi, 3, 1, { clientSoftwareName: 'kcat', clientSoftwareVersion: '1.7' })),
  ],
  [
    'Metadata 1 of all topics: a null array',
    '00000012 0003 0001 00000002 0004 74657374 ffffffff',
    hex(requestFrame(metadataApi, 1, 2, { topics: null })),
  ],
  [
    'Metadata 9: compact array of one topic with its tags, three flags',
    '00000018 0003 0009 00000003 0004 74657374 00 02 03 7431 00 01 00 00 00',
    hex(requestFrame(metadataApi, 9, 3, { topics: [{ name: 't1' }], allowAutoTopicCreation: true })),
  ],
  [
    'Produce 3: null transactional id, acks -1, timeout 1,500 ms, one topic, one partition, 3 bytes',
    '0000002d 0000 0003 00000004 0004 74657374 ffff ffff 000005dc 00000001 0002 7431 00000001 00000000 00000003 aabbcc',
    hex(
      requestFrame(produceApi, 3, 4, {
        acks: -1,
        timeoutMs: 1_500,
        topicData: [{ name: 't1', partitionData: [{ index: 0, records: Uint8Array.of(0xaa, 0xbb, 0xcc) }] }],
      }),
    ),
  ],
  [
    'Fetch 12: tagged cluster id behind everything else',
    // max wait 500 | min 1 | max 1 MiB | isolation 1 | session 0 | epoch 0 | no topics | nothing forgotten | rack "" | 1 tag: 0, 3 bytes, "ab"
    '00000031 0001 000c 00000005 0004 74657374 00 ffffffff 000001f4 00000001 00100000 01 00000000 00000000 01 01 01 01 00 03 03 6162',
    hex(
      requestFrame(fetchApi, 12, 5, {
        clusterId: 'ab',
        maxWaitMs: 500,
        minBytes: 1,
        maxBytes: 1024 * 1024,
        isolationLevel: 1,
        sessionEpoch: 0,
        topics: [],
      }),
    ),
  ],
]
function hex(parts: readonly Uint8Array[]): string {
  return Buffer.concat(parts).toString('hex')
}

test('requests have the bytes that the protocol demands', () => {
  for (const [name, expected, actual] of golden) assert.equal(actual, expected.replaceAll(' ', ''), name)
})

test('counts and lengths beyond the bytes that are there are refused before anything is made', () => {
  const many = codecs({ items: array('0+', { n: int32(), s: string() }) }, 1)
  // 2^31 - 1 elements; then 2^32 - 2 in the compact form.
  assert.throws(() => decodeMessage(many(0), Buffer.from('7fffffff00', 'hex')), { code: 'KAFKA_REQUEST_INVALID' })
  assert.throws(() => decodeMessage(many(1), Buffer.from('ffffffff0f00', 'hex')), { code: 'KAFKA_REQUEST_INVALID' })
  assert.throws(() => new WireReader(Buffer.from('7fffffff', 'hex')).byteString(false), { code: 'KAFKA_REQUEST_INVALID' })
  assert.throws(() => new WireReader(Buffer.from('ffffffffff01', 'hex')).uvarint(), { code: 'KAFKA_REQUEST_INVALID' })
})

test('unknown tagged fields are skipped, known ones with wrong sizes are refused', () => {
  const codec = codecs({ n: int32(), name: string('0+', { tag: 3, default: 'none' }), inner: struct('0+', { x: int32() }) }, 0)(0)
  const bytes = (tags: string) => Buffer.from(`00000001 00000002 00 ${tags}`.replaceAll(' ', ''), 'hex')
  assert.deepEqual(decodeMessage(codec, bytes('00')), { n: 1, name: 'none', inner: { x: 2 } })
  assert.deepEqual(decodeMessage(codec, bytes('02 01 02 ffff 03 03 026162'.replace('026162', '036162'))), {
    n: 1,
    name: 'ab',
    inner: { x: 2 },
  })
  assert.throws(() => decodeMessage(codec, bytes('01 03 04 036162ff')), { code: 'KAFKA_REQUEST_INVALID' })
})
