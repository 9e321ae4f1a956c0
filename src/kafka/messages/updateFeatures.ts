// Levels of features of the whole cluster.
// Source: Kafka's protocol guide.
import { api, array, bool, int8, int16, int32, string } from '../schema.ts'

export const updateFeaturesApi = api({
  key: 57,
  name: 'UpdateFeatures',
  versions: [0, 2],
  flexibleFrom: 0,
  request: {
    timeoutMs: int32('0+', { default: 60_000 }),
    featureUpdates: array('0+', {
      feature: string(),
      maxVersionLevel: int16(),
      allowDowngrade: bool('0'),
      upgradeType: int8('1+', { default: 1 }),
    }),
    validateOnly: bool('1+'),
  },
  response: {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string('0+', { nullable: '0+', default: null }),
    results: array('0-1', {
      feature: string(),
      errorCode: int16(),
      errorMessage: string('0+', { nullable: '0+', default: null }),
    }),
  },
})
