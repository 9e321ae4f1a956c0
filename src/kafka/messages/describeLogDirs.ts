// Sizes of the partitions on disk.
// Source: Kafka's protocol guide.
import { api, array, bool, int16, int32, int64, string } from '../schema.ts'

export const describeLogDirsApi = api({
  key: 35,
  name: 'DescribeLogDirs',
  versions: [1, 5],
  flexibleFrom: 2,
  request: {
    topics: array(
      '0+',
      {
        topic: string(),
        partitions: array('0+', int32()),
      },
      { nullable: '0+' },
    ),
  },
  response: {
    throttleTimeMs: int32(),
    errorCode: int16('3+'),
    results: array('0+', {
      errorCode: int16(),
      logDir: string(),
      topics: array('0+', {
        name: string(),
        partitions: array('0+', {
          partitionIndex: int32(),
          partitionSize: int64(),
          offsetLag: int64(),
          isFutureKey: bool(),
        }),
      }),
      totalBytes: int64('4+', { default: -1 }),
      usableBytes: int64('4+', { default: -1 }),
      isCordoned: bool('5+', { default: false }),
    }),
  },
})
