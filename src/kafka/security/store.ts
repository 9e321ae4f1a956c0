// SCRAM credentials, access control entries, quotas, and settings of groups, brokers and clients' metrics: durable records of a compacted
// internal topic, and maps that are made from them on start.
//
// Invariants
//   1. A change is acknowledged when its record is durable, and counts from then on.
//   2. The newest record of a key counts, null is a deletion. Changes are written one after another.
//   3. A record that cannot be understood stops the start: what protects must not get lost unnoticed.
//   4. No password is in it, only what SCRAM stores (see scram.ts).
import {
  type BrokerLog,
  checkTopicConfig,
  type Disk,
  defaultTopicConfig,
  openPartitionReader,
  readRecords,
  SECURITY_TOPIC,
} from '../../log/index.ts'
import { kafkaErrors } from '../errors.ts'
import type { Acl } from './acls.ts'
import { aclKey } from './acls.ts'
import type { QuotaEntity, QuotaValues } from './quotas.ts'
import type { Credential, Mechanism } from './scram.ts'

const settings = { 'cleanup.policy': 'compact', 'segment.bytes': 1024 * 1024, 'max.compaction.lag.ms': 24 * 3600 * 1000 } as const

type Key = ['user', string, Mechanism] | ['acl', string] | ['quota', string] | ['settings', type: number, name: string]
export interface Change {
  key: Key
  /** Null deletes. */
  value: Credential | Acl | QuotaValues | Readonly<Record<string, string>> | null
}

export class SecurityStore {
  /** By user and mechanism. */
  readonly users = new Map<string, Map<Mechanism, Credential>>()
  readonly acls = new Map<string, Acl>()
  /** By the entity's JSON. */
  readonly quotas = new Map<string, { entity: QuotaEntity; values: QuotaValues }>()
  /** By the type of the resource, in Kafka's numbers, and its name. */
  readonly settings = new Map<number, Map<string, Readonly<Record<string, string>>>>()
  private readonly log: BrokerLog
  private turn: Promise<unknown> = Promise.resolve()

  /** @throws KAFKA_SECURITY_DAMAGED, and what reading the log throws */
  constructor(log: BrokerLog, disk: Disk) {
    this.log = log
    this.load(disk)
  }

  /** Makes changes durable, all or none. @throws the log's errors */
  write(changes: readonly Change[]): Promise<void> {
    const done = this.turn.then(async () => {
      if (changes.length === 0) return
      if (!this.log.topic(SECURITY_TOPIC)) await this.log.createTopic(SECURITY_TOPIC, checkTopicConfig(defaultTopicConfig, settings))
      const encode = (value: unknown) => Buffer.from(JSON.stringify(value))
      const records = changes.map(({ key, value }) => ({ key: encode(key), value: value && encode(value), timestampMs: Date.now() }))
      await this.log.appendRecords(SECURITY_TOPIC, 0, records)
      for (const change of changes) this.apply(change)
    })
    this.turn = done.catch(() => {})
    return done
  }

  private load(disk: Disk): void {
    const topic = this.log.topic(SECURITY_TOPIC)
    if (!topic) return
    const reader = openPartitionReader(this.log.descriptor(SECURITY_TOPIC), 0, topic.partitions[0].startOffset, disk)
    try {
      for (let run = reader.read(); run; run = reader.read()) {
        for (const { offset, key, value } of readRecords(run.bytes, run.start, run.end, run.fromOffset)) {
          try {
            const decode = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString())
            this.apply({ key: decode(key!), value: value && decode(value) })
          } catch (error) {
            throw kafkaErrors(
              'KAFKA_SECURITY_DAMAGED',
              { topic: SECURITY_TOPIC, offset, reason: (error as Error).message },
              { cause: error },
            )
          }
        }
      }
    } finally {
      reader.close()
    }
  }

  private apply({ key, value }: Change): void {
    switch (key[0]) {
      case 'user': {
        const [, user, mechanism] = key
        const credentials = this.users.get(user) ?? new Map<Mechanism, Credential>()
        if (value) credentials.set(mechanism, value as Credential)
        else credentials.delete(mechanism)
        if (credentials.size > 0) this.users.set(user, credentials)
        else this.users.delete(user)
        break
      }
      case 'acl':
        if (value) this.acls.set(aclKey(value as Acl), value as Acl)
        else this.acls.delete(key[1])
        break
      case 'quota':
        if (value) this.quotas.set(key[1], { entity: JSON.parse(key[1]) as QuotaEntity, values: value as QuotaValues })
        else this.quotas.delete(key[1])
        break
      case 'settings': {
        const [, type, name] = key
        const ofType = this.settings.get(type) ?? new Map<string, Readonly<Record<string, string>>>()
        this.settings.set(type, ofType)
        if (value) ofType.set(name, value as Readonly<Record<string, string>>)
        else ofType.delete(name)
        break
      }
      default:
        throw new TypeError(`"${String(key[0])}" is no kind of record`)
    }
  }
}
