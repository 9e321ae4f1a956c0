// What belongs to the demo that comes with Millrace.

/** A topic that the replay of Wikipedia's edits fills. */
export const isDemoTopic = (name: string): boolean => name.startsWith('wiki_') && !name.endsWith('.invalid')
