// What belongs to the demo that comes with Millrace.
import { isInvalidTopic } from '../../api/queries.ts'

/** A topic that the replay of Wikipedia's edits fills. */
export const isDemoTopic = (name: string): boolean => name.startsWith('wiki_') && !isInvalidTopic(name)
