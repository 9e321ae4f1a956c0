// For tests: a log's writer beside which somebody appends to the log once it is closed.
import { HostedLog, openWriter } from '../log/index.ts'

const writer = openWriter()!
const log = new HostedLog(writer)
await writer.runInTurns()
const { code } = await log.appendRecords('t', 0, [{ key: null, value: null, timestampMs: 0 }]).catch((error) => error)
writer.host!.postMessage(code ?? 'appended')
process.exit(0)
