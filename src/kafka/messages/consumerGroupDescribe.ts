// State and members of KIP-848 groups.
// Source: Kafka's protocol guide.
import { api, array, bool, int8, int16, int32, string, struct, uuid } from '../schema.ts'

export const consumerGroupDescribeApi = api({
  key: 69,
  name: 'ConsumerGroupDescribe',
  versions: [0, 1],
  flexibleFrom: 0,
  request: {
    groupIds: array('0+', string()),
    includeAuthorizedOperations: bool(),
  },
  response: {
    throttleTimeMs: int32(),
    groups: array('0+', {
      errorCode: int16(),
      errorMessage: string('0+', { nullable: '0+', default: null }),
      groupId: string(),
      groupState: string(),
      groupEpoch: int32(),
      assignmentEpoch: int32(),
      assignorName: string(),
      members: array('0+', {
        memberId: string(),
        instanceId: string('0+', { nullable: '0+', default: null }),
        rackId: string('0+', { nullable: '0+', default: null }),
        memberEpoch: int32(),
        clientId: string(),
        clientHost: string(),
        subscribedTopicNames: array('0+', string()),
        subscribedTopicRegex: string('0+', { nullable: '0+', default: null }),
        assignment: struct('0+', {
          topicPartitions: array('0+', {
            topicId: uuid(),
            topicName: string(),
            partitions: array('0+', int32()),
          }),
        }),
        targetAssignment: struct('0+', {
          topicPartitions: array('0+', {
            topicId: uuid(),
            topicName: string(),
            partitions: array('0+', int32()),
          }),
        }),
        memberType: int8('1+', { default: -1 }),
      }),
      authorizedOperations: int32('0+', { default: -2147483648 }),
    }),
  },
})
