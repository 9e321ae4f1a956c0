// DescribeUserScramCredentials, AlterUserScramCredentials.
import { type Broker, handler } from '../broker.ts'
import { ERROR, KafkaError } from '../errors.ts'
import { alterUserScramCredentialsApi } from '../messages/alterUserScramCredentials.ts'
import { describeUserScramCredentialsApi } from '../messages/describeUserScramCredentials.ts'
import { credentialOf, ITERATIONS_MAX, ITERATIONS_MIN, type Mechanism, mechanismNames, mechanisms } from '../security/scram.ts'
import type { Change } from '../security/store.ts'
import { answerError } from './partitions.ts'

const byNumber = (number: number): Mechanism => {
  const mechanism = mechanismNames.find((name) => mechanisms[name].number === number)
  if (!mechanism) throw new KafkaError(ERROR.UNSUPPORTED_SASL_MECHANISM, `SCRAM mechanism ${number} is not known`)
  return mechanism
}

export const describeUserScramCredentialsHandler = (broker: Broker) =>
  handler(describeUserScramCredentialsApi, ({ users }) => {
    const { users: known } = broker.security.store
    const names = users === null || users.length === 0 ? [...known.keys()] : users.map(({ name }) => name)
    const results = [...new Set(names)].map((user) => {
      const credentials = known.get(user)
      const isTwice = names.filter((name) => name === user).length > 1
      if (isTwice)
        return { user, errorCode: ERROR.DUPLICATE_RESOURCE, errorMessage: `user ${user} is in the request twice`, credentialInfos: [] }
      if (!credentials) {
        const errorMessage = `Attempt to describe a user credential that does not exist: ${user}`
        return { user, errorCode: ERROR.RESOURCE_NOT_FOUND, errorMessage, credentialInfos: [] }
      }
      const credentialInfos = [...credentials].map(([name, { iterations }]) => ({ mechanism: mechanisms[name].number, iterations }))
      return { user, credentialInfos }
    })
    return { results }
  })

export const alterUserScramCredentialsHandler = (broker: Broker) =>
  handler(alterUserScramCredentialsApi, async ({ deletions, upsertions }) => {
    const { store } = broker.security
    const names = [...deletions, ...upsertions].map(({ name }) => name)
    const alter = async (user: string) => {
      try {
        const changes: Change[] = []
        const numbers = new Set<number>()
        const note = (number: number): Mechanism => {
          if (numbers.has(number)) throw new KafkaError(ERROR.DUPLICATE_RESOURCE, `a mechanism of user ${user} is in the request twice`)
          numbers.add(number)
          return byNumber(number)
        }
        if (user === '') throw new KafkaError(ERROR.UNACCEPTABLE_CREDENTIAL, 'Username must not be empty')
        for (const { name, mechanism: number } of deletions) {
          if (name !== user) continue
          const mechanism = note(number)
          if (!store.users.get(user)?.has(mechanism)) {
            throw new KafkaError(ERROR.RESOURCE_NOT_FOUND, 'Attempt to delete a user credential that does not exist')
          }
          changes.push({ key: ['user', user, mechanism], value: null })
        }
        for (const { name, mechanism: number, iterations, salt, saltedPassword } of upsertions) {
          if (name !== user) continue
          const mechanism = note(number)
          if (iterations < ITERATIONS_MIN || iterations > ITERATIONS_MAX) {
            throw new KafkaError(
              ERROR.UNACCEPTABLE_CREDENTIAL,
              `${iterations} iterations: from ${ITERATIONS_MIN} to ${ITERATIONS_MAX} are allowed`,
            )
          }
          if (salt.length === 0 || saltedPassword.length === 0)
            throw new KafkaError(ERROR.UNACCEPTABLE_CREDENTIAL, 'no salt or no password')
          changes.push({ key: ['user', user, mechanism], value: credentialOf(mechanism, salt, saltedPassword, iterations) })
        }
        await store.write(changes)
        return { user }
      } catch (error) {
        return { user, ...answerError(broker, 'AlterUserScramCredentials', error) }
      }
    }
    return { results: await Promise.all([...new Set(names)].map(alter)) }
  })
