// Settings of topics and brokers.
// Source: Kafka's protocol guide.
import { api, array, bool, int8, int16, int32, string } from '../schema.ts'

export const describeConfigsApi = api({
  key: 32,
  name: 'DescribeConfigs',
  versions: [1, 4],
  flexibleFrom: 4,
  request: {
    resources: array('0+', {
      resourceType: int8(),
      resourceName: string(),
      configurationKeys: array('0+', string(), { nullable: '0+' }),
    }),
    includeSynonyms: bool(),
    includeDocumentation: bool('3+'),
  },
  response: {
    throttleTimeMs: int32(),
    results: array('0+', {
      errorCode: int16(),
      errorMessage: string('0+', { nullable: '0+' }),
      resourceType: int8(),
      resourceName: string(),
      configs: array('0+', {
        name: string(),
        value: string('0+', { nullable: '0+' }),
        readOnly: bool(),
        configSource: int8('0+', { default: -1 }),
        isSensitive: bool(),
        synonyms: array('0+', {
          name: string(),
          value: string('0+', { nullable: '0+' }),
          source: int8(),
        }),
        configType: int8('3+'),
        documentation: string('3+', { nullable: '0+' }),
      }),
    }),
  },
})
