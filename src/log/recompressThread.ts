// The thread that puts batches into another codec for who may not stop for it: see hostedLog.ts.
import { parentPort } from 'node:worker_threads'
import { type ErrorBody, type HelperAnswer, type HelperQuestion, toStreamError } from '../base/index.ts'
import { recompressed } from './recompress.ts'

export interface ToRecompress {
  batch: Uint8Array
  codec: number
}
export type Recompressed = { batch: Uint8Array } | { failure: ErrorBody }

function answerTo({ batch, codec }: ToRecompress): Recompressed {
  try {
    return { batch: recompressed(batch, codec) }
  } catch (error) {
    return { failure: toStreamError(error).toJSON() }
  }
}

parentPort!.on('message', ({ id, question }: HelperQuestion<ToRecompress>) => {
  parentPort!.postMessage({ id: id!, answer: answerTo(question) } satisfies HelperAnswer<Recompressed>)
})
