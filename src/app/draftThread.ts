// The thread that plays the draft of a golden file: SQL that somebody typed may take as long as it likes there, and is ended.
import { parentPort, workerData } from 'node:worker_threads'
import { type ErrorBody, toStreamError } from '../base/index.ts'
import { updatedGoldenText } from '../engine/golden/index.ts'

export interface DraftOrder {
  path: string
  text: string
}
export type FromDraft = { text: string } | { error: ErrorBody; httpStatus: number }

const send = (message: FromDraft) => parentPort?.postMessage(message)
const { path, text } = workerData as DraftOrder
try {
  send({ text: updatedGoldenText(path, text) })
} catch (error) {
  const failure = toStreamError(error)
  send({ error: failure.toJSON(), httpStatus: failure.httpStatus })
}
