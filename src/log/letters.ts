/** Where a topic's dead letters are kept: what the front door refused, and rows that a query could not read or compute. */
export const lettersTopicOf = (topic: string): string => `${topic}.invalid`
