// How far a group has come; several groups since version 8, topic ids instead of names since 10.
// Source: Kafka's protocol guide.
import { api, array, bool, int16, int32, int64, string, uuid } from '../schema.ts'

export const offsetFetchApi = api({
  key: 9,
  name: 'OffsetFetch',
  versions: [1, 10],
  flexibleFrom: 6,
  request: {
    groupId: string('1-7'),
    topics: array(
      '1-7',
      {
        name: string('1-7'),
        partitionIndexes: array('1-7', int32()),
      },
      { nullable: '2-7' },
    ),
    groups: array('8+', {
      groupId: string('8+'),
      memberId: string('9+', { nullable: '9+', default: null }),
      memberEpoch: int32('9+', { default: -1 }),
      topics: array(
        '8+',
        {
          name: string('8-9'),
          topicId: uuid('10+'),
          partitionIndexes: array('8+', int32()),
        },
        { nullable: '8+' },
      ),
    }),
    requireStable: bool('7+'),
  },
  response: {
    throttleTimeMs: int32('3+'),
    topics: array('1-7', {
      name: string('1-7'),
      partitions: array('1-7', {
        partitionIndex: int32('1-7'),
        committedOffset: int64('1-7'),
        committedLeaderEpoch: int32('5-7', { default: -1 }),
        metadata: string('1-7', { nullable: '1-7' }),
        errorCode: int16('1-7'),
      }),
    }),
    errorCode: int16('2-7'),
    groups: array('8+', {
      groupId: string('8+'),
      topics: array('8+', {
        name: string('8-9'),
        topicId: uuid('10+'),
        partitions: array('8+', {
          partitionIndex: int32('8+'),
          committedOffset: int64('8+'),
          committedLeaderEpoch: int32('8+', { default: -1 }),
          metadata: string('8+', { nullable: '8+' }),
          errorCode: int16('8+'),
        }),
      }),
      errorCode: int16('8+'),
    }),
  },
})
