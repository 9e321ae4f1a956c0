// The thread that puts batches into another codec, and looks at the records of large ones, for who may not stop for it: see hostedLog.ts.
import { parentPort } from 'node:worker_threads'
import { type ErrorBody, type HelperAnswer, type HelperQuestion, toStreamError } from '../base/index.ts'
import { recompressed } from './recompress.ts'
import { checkRecords, type RecordRules } from './recordChecks.ts'

export interface ToPrepare {
  batch: Uint8Array
  /** In which it is wanted; its own: as it is. */
  codec: number
  /** What its records have to follow. */
  rules: RecordRules | undefined
}
export type Prepared = { batch: Uint8Array } | { failure: ErrorBody }

function answerTo({ batch: sent, codec, rules }: ToPrepare): Prepared {
  try {
    const batch = recompressed(sent, codec)
    const error = rules && checkRecords(batch, rules)
    return error ? { failure: error.toJSON() } : { batch }
  } catch (error) {
    return { failure: toStreamError(error).toJSON() }
  }
}

parentPort!.on('message', ({ id, question }: HelperQuestion<ToPrepare>) => {
  const answer = answerTo(question)
  parentPort!.postMessage(
    { id: id!, answer } satisfies HelperAnswer<Prepared>,
    'batch' in answer ? [answer.batch.buffer as ArrayBuffer] : [],
  )
})
