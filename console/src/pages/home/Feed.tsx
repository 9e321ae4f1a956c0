// The events themselves, as they come in.
import { useMemo, useState } from 'react'
import type { TopicSummary } from '../../../../src/serve/contract.ts'
import { usePause, useTopicTails } from '../../api/live.ts'
import { isInvalidTopic } from '../../api/queries.ts'
import { formatInteger } from '../../ui/format.ts'
import { MessageList } from '../../ui/MessageList.tsx'
import { Panel } from '../../ui/Panel.tsx'
import { Empty, PauseButton, useNow } from '../../ui/parts.tsx'

/** Each is a connection of its own, of which a browser has some two hundred. */
const FOLLOWED_MAX = 12
const CHOSEN_AGAIN_MS = 30_000

/** The topics with the most records; looked at anew now and then, so that connections stay. */
function useFollowed(topics: readonly TopicSummary[]): { followed: string[]; count: number } {
  const open = topics.filter(({ name }) => !isInvalidTopic(name))
  const turn = Math.floor(useNow(CHOSEN_AGAIN_MS) / CHOSEN_AGAIN_MS)
  const names = open.map(({ name }) => name).join('\n')
  // biome-ignore lint/correctness/useExhaustiveDependencies: other counts alone choose no other topics until it is time
  const followed = useMemo(
    () =>
      open
        .toSorted((a, b) => b.recordCount - a.recordCount)
        .slice(0, FOLLOWED_MAX)
        .map(({ name }) => name)
        .sort(),
    [names, turn],
  )
  return { followed, count: open.length }
}

export function Feed({ topics }: { topics: readonly TopicSummary[] }) {
  const [text, setText] = useState('')
  const { followed, count } = useFollowed(topics)
  const live = useTopicTails(followed, 300)
  const { value: view, isPaused, setPaused } = usePause(live)
  return (
    <Panel
      title="Events"
      note={
        count > followed.length
          ? `from the ${followed.length} largest of ${formatInteger(count)} topics`
          : count > 0
            ? `from ${count} ${count === 1 ? 'topic' : 'topics'}`
            : ''
      }
      className="span-8"
      actions={
        <>
          <input
            type="search"
            className="filter"
            aria-label="Filter events"
            placeholder="Filter text"
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
          <PauseButton isPaused={isPaused} setPaused={setPaused} newCount={live.arrivedCount - view.arrivedCount} what="record" />
        </>
      }
    >
      {followed.length > 0 ? (
        <MessageList label="Newest events" messages={view.messages} filter={text} height="100%" withTopic />
      ) : (
        <Empty title="No topic yet">A CREATE TABLE in pipelines/*.sql declares one.</Empty>
      )}
    </Panel>
  )
}
