// The log's writer in a thread of its own, which does nothing else: see writer.ts.
import { openWriter } from './writer.ts'

openWriter()?.run()
